package reader

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	prefixBytes   = 24
	nonceBytes    = 12
	overheadBytes = prefixBytes + nonceBytes + 16
	clockSlackMs  = 300_000
	keyKeptMs     = 7 * 86_400_000
	maxReplays    = 3
	maxPersons    = 64
	epochsKept    = 128
)

var (
	magic       = []byte{'M', 'W', 1, 1}
	tenantTopic = regexp.MustCompile(`^mk\.t\.[^.]+\.events\.v1$`)
	schema      = regexp.MustCompile(`^urn:mkchannels:event:([a-z0-9._]{1,64}):([1-9][0-9]{0,3})$`)
	uuid        = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	pseudonym   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	decimal     = regexp.MustCompile(`^[0-9]{1,15}$`)
	ascii       = regexp.MustCompile(`^[\x20-\x7e]*$`)
	list        = regexp.MustCompile(`^[0-9a-f,]*$`)
	directions  = map[string]string{"i": "inbound", "o": "outbound", "s": "system"}
)

// Record is one Kafka record. Key nil: not given. NowMs 0: the present is not known.
type Record struct {
	Topic               string
	Key, Value          []byte
	Headers             []Header
	BrokerTimeMs, NowMs int64
}

type epoch struct {
	encoded, sealedKey, signature []byte
	said                          statement
	aead                          cipher.AEAD
}

// Opener opens a tenant's records; it remembers who was erased and the epochs it opened. Not for concurrent use.
type Opener struct {
	Tenant   string
	Keys     func(keyID string) *PrivateHalf
	Signers  Signers
	Erasures Erasures
	epochs   map[string]*epoch
}

// Open gives an Event, Erased, SubjectErased or Unavailable, or an *Error. Steps as in docs/wire-format.md.
func (opener *Opener) Open(record Record) (any, error) {
	// 1. What was added after sealing.
	facts, err := addedFacts(record.Value, record.Headers, opener.Signers)
	if err != nil {
		return nil, err
	}
	timeMs := record.BrokerTimeMs
	replays, isReplay := facts["q_replay"]
	if isReplay {
		if timeMs, err = addedNumber(facts["q_received_at"]); err != nil {
			return nil, err
		}
		number, err := addedNumber(replays)
		if err != nil {
			return nil, err
		}
		if number > maxReplays {
			return nil, &Error{"replay_limit", "the record was replayed three times already"}
		}
	}
	// 2. Layout and epoch.
	named, err := index(record.Headers)
	if err != nil {
		return nil, err
	}
	by, err := opener.epoch(record, named, timeMs)
	if err != nil {
		return nil, err
	}
	if by == nil {
		return Unavailable{"key_gone"}, nil
	}
	// 3. The record belongs to this epoch, topic and time; the AEAD covers prefix, topic and headers.
	if hex.EncodeToString(record.Value[4:8]) != by.said.keyID || by.said.topic != record.Topic {
		return nil, tampered("the record was sealed for something else")
	}
	if timeMs < int64(by.said.notBeforeS)*1000-clockSlackMs {
		return nil, tampered("the record is older than its epoch")
	}
	digest, err := sealedDigest(record.Topic, record.Headers)
	if err != nil {
		return nil, err
	}
	aad := append(bytes.Clone(record.Value[:prefixBytes]), digest...)
	body := record.Value[prefixBytes:]
	plaintext, err := by.aead.Open(nil, body[:nonceBytes], body[nonceBytes:], aad)
	if err != nil {
		return nil, tampered("the record does not open")
	}
	// 4. Whose it is, and who may say it.
	if string(named["ce_tenant"]) != by.said.tenant || opener.Tenant != "" && opener.Tenant != by.said.tenant {
		return nil, tampered("the record is another tenant's")
	}
	isNotice := string(named["ce_type"]) == "subject.erased"
	if signer, known := opener.Signers[by.said.signer]; !known || signer.May["announce.erasure"] != isNotice {
		return nil, tampered("the signer may not say this")
	}
	// 5. What it says.
	kind := schema.FindStringSubmatch(string(named["ce_dataschema"]))
	if kind == nil {
		return nil, violation("an event's schema is none of ours")
	}
	if isNotice {
		return opener.notice(kind, plaintext, by.said, record.Key)
	}
	return opener.event(kind, plaintext, named, record.Key, isReplay)
}

func (opener *Opener) epoch(record Record, named map[string][]byte, timeMs int64) (*epoch, error) {
	if len(record.Value) < overheadBytes || !bytes.HasPrefix(record.Value, magic) {
		return nil, tampered("not a transport record")
	}
	encoded, sealedKey, signature := named["ek_statement"], named["ek_key"], named["ek_sig"]
	id := string(record.Value[8:prefixBytes])
	if known := opener.epochs[id]; known != nil && bytes.Equal(known.encoded, encoded) &&
		bytes.Equal(known.sealedKey, sealedKey) && bytes.Equal(known.signature, signature) {
		return known, nil
	}
	// a. The id is the key's hash.
	if sum := sha256.Sum256(sealedKey); string(sum[:16]) != id {
		return nil, tampered("the epoch key is not the record's")
	}
	said, err := decodeStatement(encoded)
	if err != nil {
		return nil, err
	}
	// b. The signature, before any private key is needed.
	if !tenantTopic.MatchString(said.topic) {
		return nil, tampered("not a topic of a tenant")
	}
	message := bytes.Join([][]byte{[]byte("mkchannels epoch signature v1\x00"), encoded, sealedKey}, nil)
	if err := opener.Signers.verify(said.signer, "seal.tenant", signature, message); err != nil {
		return nil, err
	}
	// c. The private half.
	half := opener.Keys(said.keyID)
	if half == nil {
		if gone := int64(said.notAfterS)*1000 + keyKeptMs; timeMs > gone || record.NowMs > gone {
			return nil, nil
		}
		return nil, &Error{"key_not_yet_known", "no private half for this key id"}
	}
	key, err := half.open(sealedKey, append([]byte("mkchannels epoch v1\x00"), encoded...))
	if err != nil {
		return nil, tampered("the epoch key does not open")
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, tampered("the epoch key is none")
	}
	if opener.epochs == nil || len(opener.epochs) >= epochsKept {
		opener.epochs = map[string]*epoch{}
	}
	opened := &epoch{encoded, sealedKey, signature, said, aead}
	opener.epochs[id] = opened
	return opened, nil
}

func (opener *Opener) notice(kind []string, plaintext []byte, said statement, key []byte) (any, error) {
	if kind[1] != "subject.erased" || kind[2] != "1" {
		return nil, violation("an erasure of a version that this release cannot read")
	}
	var erased SubjectErased
	unreadable := violation("an erasure cannot be read")
	if json.Unmarshal(plaintext, &erased) != nil || len(erased.Pseudonyms) == 0 || !uuid.MatchString(erased.Request) ||
		erased.WatermarkS == nil || erased.ExecutedAtMs == nil {
		return nil, unreadable
	}
	for _, one := range erased.Pseudonyms {
		if !pseudonym.MatchString(one) {
			return nil, unreadable
		}
	}
	if erased.Tenant != said.tenant || key != nil && (len(key) != 16 || uuidText(key) != erased.Request) {
		return nil, tampered("the erasure is another tenant's or another request's")
	}
	opener.Erasures.Remember(erased)
	return erased, nil
}

func (opener *Opener) event(
	kind []string, plaintext []byte, named map[string][]byte, key []byte, isReplay bool,
) (any, error) {
	var wrong error
	must := func(name string, shape *regexp.Regexp) string {
		value, has := named[name]
		if !has || !shape.Match(value) {
			wrong = violation("an event's headers cannot be read")
		}
		return string(value)
	}
	event := Event{
		ID:           must("ce_id", uuid),
		Type:         kind[1],
		Tenant:       string(named["ce_tenant"]),
		Account:      must("mk_account", uuid),
		Source:       must("ce_source", ascii),
		Direction:    directions[string(named["mk_dir"])],
		OccurredAt:   string(named["ce_time"]),
		Conversation: must("ce_subject", pseudonym),
		IsReplay:     isReplay,
		Data:         plaintext,
	}
	persons, received := must("mk_person", list), must("mk_received_at", decimal)
	if len(named["mk_ref"]) > 0 {
		event.MessageRef = must("mk_ref", pseudonym)
	}
	if wrong != nil {
		return nil, wrong
	}
	event.Version, _ = strconv.Atoi(kind[2])
	event.ReceivedAtMs, _ = strconv.ParseInt(received, 10, 64)
	seen := map[string]bool{}
	for _, one := range strings.Split(persons, ",") {
		if one == "" || seen[one] {
			continue
		}
		if seen[one] = true; !pseudonym.MatchString(one) {
			return nil, violation("an event's headers cannot be read")
		}
		event.Persons = append(event.Persons, one)
	}
	if _, err := time.Parse(time.RFC3339, event.OccurredAt); named["ce_time"] != nil && err != nil {
		return nil, violation("an event's time cannot be read")
	}
	if event.Direction == "" || len(event.Persons) > maxPersons || string(named["ce_type"]) != event.Type {
		return nil, violation("an event's headers contradict each other")
	}
	if key != nil && hex.EncodeToString(key) != event.Conversation {
		return nil, tampered("the record's key is not its conversation")
	}
	// The first 48 bits of the id are the event's own second; 0 when undated.
	occurredMs, _ := strconv.ParseInt(strings.ReplaceAll(event.ID, "-", "")[:12], 16, 64)
	erased := Erased{ID: event.ID, Type: event.Type, Tenant: event.Tenant, ReceivedAtMs: event.ReceivedAtMs}
	for _, person := range event.Persons {
		if by, isErased := opener.Erasures.covering(person, occurredMs/1000, event.ReceivedAtMs); isErased {
			if len(erased.Pseudonyms) == 0 {
				erased.Request = by.request
			}
			erased.Pseudonyms = append(erased.Pseudonyms, person)
		}
	}
	if len(erased.Pseudonyms) > 0 {
		return erased, nil
	}
	if !json.Valid(plaintext) || !utf8.Valid(plaintext) {
		return nil, violation("an event's data is not JSON")
	}
	return event, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, errors.New("an epoch key has 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func addedNumber(raw []byte) (int64, error) {
	if !decimal.Match(raw) {
		return 0, tampered("a fact that was added is not a number")
	}
	return strconv.ParseInt(string(raw), 10, 64)
}
