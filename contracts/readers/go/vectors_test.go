package reader

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

type published struct {
	Name         string
	Topic        string
	Tenant       string
	Key          *string
	Value        string
	Headers      [][2]string
	BrokerTimeMs int64 `json:"broker_time_ms"`
	NowMs        int64 `json:"now_ms"`
	NeedsModels  bool  `json:"needs_models"`
	Reads        map[string]json.RawMessage
}

type records struct {
	Good, Refused, Sequence []published
	Shared                  map[string]string
}

func load(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "vectors", name+".json"))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func raw(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func pairs(t *testing.T, headers [][2]string, shared map[string]string) []Header {
	t.Helper()
	var out []Header
	for _, pair := range headers {
		if long, has := shared[pair[1]]; has {
			pair[1] = long
		}
		out = append(out, Header{pair[0], raw(t, pair[1])})
	}
	return out
}

type cast struct {
	Tenants    map[string]string
	Recipients map[string]struct{ Private string }
	Signers    map[string]struct {
		Public string
		May    []string
	}
}

func opener(t *testing.T, tenant string) *Opener {
	t.Helper()
	var keys cast
	load(t, "keys", &keys)
	halves := map[string]*PrivateHalf{}
	for _, name := range []string{"acme", "other"} {
		half, err := NewPrivateHalf(raw(t, keys.Recipients[name].Private))
		if err != nil {
			t.Fatal(err)
		}
		halves[half.KeyID] = half
	}
	signers := Signers{}
	for name, one := range keys.Signers {
		if name == "mallory" {
			continue
		}
		may := map[string]bool{}
		for _, right := range one.May {
			may[right] = true
		}
		signers[name] = Signer{raw(t, one.Public), may}
	}
	return &Opener{Tenant: tenant, Keys: func(id string) *PrivateHalf { return halves[id] }, Signers: signers}
}

func check(t *testing.T, by *Opener, one published, shared map[string]string) {
	t.Helper()
	value := one.Value
	if long, has := shared[value]; has {
		value = long
	}
	record := Record{
		Topic: one.Topic, Value: raw(t, value), Headers: pairs(t, one.Headers, shared),
		BrokerTimeMs: one.BrokerTimeMs, NowMs: one.NowMs,
	}
	if one.Key != nil {
		record.Key = raw(t, *one.Key)
	}
	reading, err := by.Open(record)
	if code, isRefused := one.Reads["error"]; isRefused {
		var refused *Error
		if one.NeedsModels {
			return
		}
		if !errors.As(err, &refused) || `"`+refused.Code+`"` != string(code) {
			t.Errorf("%s: got %v, %v, want %s", one.Name, reading, err, code)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", one.Name, err)
		return
	}
	got, err := json.Marshal(described(reading))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(one.Reads)
	var a, b any
	_, _ = json.Unmarshal(got, &a), json.Unmarshal(want, &b)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\n got %s\nwant %s", one.Name, got, want)
	}
}

func described(reading any) map[string]any {
	orNull := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	switch one := reading.(type) {
	case Event:
		persons := append([]string{}, one.Persons...)
		return map[string]any{"event": map[string]any{
			"id": one.ID, "type": one.Type, "version": one.Version, "tenant": one.Tenant, "account": one.Account,
			"source": one.Source, "direction": one.Direction, "occurred_at": orNull(one.OccurredAt),
			"received_at_ms": one.ReceivedAtMs, "conversation": one.Conversation, "persons": persons,
			"message_ref": orNull(one.MessageRef), "is_replay": one.IsReplay, "data": string(one.Data),
		}}
	case Erased:
		return map[string]any{"erased": map[string]any{
			"id": one.ID, "type": one.Type, "request": one.Request, "pseudonyms": one.Pseudonyms,
		}}
	case SubjectErased:
		return map[string]any{"subject_erased": one}
	case Unavailable:
		return map[string]any{"unavailable": one.Reason}
	}
	return nil
}

func TestEveryRecordReadsAsPublished(t *testing.T) {
	var all records
	load(t, "record", &all)
	if len(all.Good) < 10 || len(all.Refused) < 100 {
		t.Fatal("the vectors are missing")
	}
	for _, one := range append(all.Good, all.Refused...) {
		check(t, opener(t, one.Tenant), one, all.Shared)
	}
}

func TestEveryWrongRecordIsRefusedOnceItsEpochIsKnown(t *testing.T) {
	var all records
	load(t, "record", &all)
	by := opener(t, all.Good[0].Tenant)
	check(t, by, all.Good[0], all.Shared)
	for _, one := range all.Refused {
		if one.Tenant == by.Tenant {
			check(t, by, one, all.Shared)
		}
	}
}

func TestEventsOfAnErasedPersonReadAsErased(t *testing.T) {
	var all records
	load(t, "erasure", &all)
	by := opener(t, all.Sequence[0].Tenant)
	for _, one := range all.Sequence {
		check(t, by, one, all.Shared)
	}
}

func TestStatementsHeadersAndFactsAreEncodedAsPublished(t *testing.T) {
	var statements struct {
		Good    []struct{ Encoded, Tenant, Topic, Signer string }
		Refused []struct{ Encoded, Because string }
	}
	load(t, "statement", &statements)
	for _, one := range statements.Good {
		said, err := decodeStatement(raw(t, one.Encoded))
		if err != nil || said.tenant != one.Tenant || said.topic != one.Topic || said.signer != one.Signer {
			t.Errorf("%+v: %v", said, err)
		}
	}
	for _, one := range statements.Refused {
		if _, err := decodeStatement(raw(t, one.Encoded)); err == nil {
			t.Error(one.Because)
		}
	}
	var digests struct {
		Good, Refused []struct {
			Topic, Digest string
			Headers       [][2]string
		}
	}
	load(t, "header_digest", &digests)
	for _, one := range digests.Good {
		if digest, err := sealedDigest(one.Topic, pairs(t, one.Headers, nil)); err != nil || hex.EncodeToString(digest) != one.Digest {
			t.Errorf("%v %x", err, digest)
		}
	}
	for _, one := range digests.Refused {
		if _, err := sealedDigest(one.Topic, pairs(t, one.Headers, nil)); err == nil {
			t.Error("a doubled header was taken")
		}
	}
	var facts struct {
		Good []struct {
			Value, Message string
			Headers        [][2]string
		}
	}
	load(t, "q_facts", &facts)
	for _, one := range facts.Good {
		message, err := addedFactsMessage(raw(t, one.Value), pairs(t, one.Headers, nil))
		if err != nil || hex.EncodeToString(message) != one.Message {
			t.Errorf("%v %x", err, message)
		}
	}
}

func TestSealedEpochKeysOpen(t *testing.T) {
	var all struct {
		Good []struct{ Private, Info, Sealed, Plaintext string }
	}
	load(t, "hpke", &all)
	for _, one := range all.Good {
		half, err := NewPrivateHalf(raw(t, one.Private))
		if err != nil {
			t.Fatal(err)
		}
		if key, err := half.open(raw(t, one.Sealed), raw(t, one.Info)); err != nil || hex.EncodeToString(key) != one.Plaintext {
			t.Errorf("%v %x", err, key)
		}
	}
}
