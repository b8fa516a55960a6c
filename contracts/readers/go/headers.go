package reader

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// Header is one header of a Kafka record.
type Header struct {
	Name  string
	Value []byte
}

func isSealed(name string) bool {
	return strings.HasPrefix(name, "ce_") || strings.HasPrefix(name, "mk_")
}

func isAdded(name string) bool { return strings.HasPrefix(name, "q_") }

// index refuses a name that stands twice: readers might take either.
func index(headers []Header) (map[string][]byte, error) {
	found := make(map[string][]byte, len(headers))
	for _, header := range headers {
		if _, twice := found[header.Name]; twice {
			return nil, tampered("a header stands twice")
		}
		found[header.Name] = header.Value
	}
	return found, nil
}

// canonical is the topic and the headers that are wanted, sorted by name, all length-prefixed.
func canonical(topic string, headers []Header, isWanted func(string) bool) ([]byte, error) {
	wanted := slices.DeleteFunc(slices.Clone(headers), func(one Header) bool { return !isWanted(one.Name) })
	slices.SortFunc(wanted, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	out := binary.BigEndian.AppendUint16(nil, uint16(len(topic)))
	out = append(out, topic...)
	for i, header := range wanted {
		if i > 0 && wanted[i-1].Name == header.Name {
			return nil, tampered("a header stands twice")
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(header.Name)))
		out = append(out, header.Name...)
		out = binary.BigEndian.AppendUint32(out, uint32(len(header.Value)))
		out = append(out, header.Value...)
	}
	return out, nil
}

func sealedDigest(topic string, headers []Header) ([]byte, error) {
	text, err := canonical(topic, headers, isSealed)
	digest := sha256.Sum256(text)
	return digest[:], err
}

// addedFactsMessage is what q_sig is over.
func addedFactsMessage(value []byte, headers []Header) ([]byte, error) {
	original, err := canonical("", headers, func(name string) bool { return !isAdded(name) })
	if err != nil {
		return nil, err
	}
	added, err := canonical("", headers, func(name string) bool { return isAdded(name) && name != "q_sig" })
	if err != nil {
		return nil, err
	}
	of, over := sha256.Sum256(value), sha256.Sum256(original)
	return bytes.Join([][]byte{[]byte("mkchannels q-facts v1\x00"), of[:], over[:], added}, nil), nil
}

// addedFacts verifies what was added after sealing; nil if there is nothing.
func addedFacts(value []byte, headers []Header, signers Signers) (map[string][]byte, error) {
	named, err := index(headers)
	if err != nil {
		return nil, err
	}
	facts := map[string][]byte{}
	for name, content := range named {
		if isAdded(name) {
			facts[name] = content
		}
	}
	if len(facts) == 0 {
		return facts, nil
	}
	message, err := addedFactsMessage(value, headers)
	if err != nil {
		return nil, err
	}
	return facts, signers.verify(string(facts["q_by"]), "quarantine.tenant", facts["q_sig"], message)
}
