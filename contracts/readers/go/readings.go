// Package reader reads a tenant's events: a record's bytes and headers in, one value out (docs/wire-format.md).
// It must never log, keep or print what was said.
package reader

// Event is one event whose seal, signature, tenant and headers were checked. OccurredAt is empty when undated.
type Event struct {
	ID, Type                 string
	Version                  int
	Tenant, Account, Source  string
	Direction, OccurredAt    string
	ReceivedAtMs             int64
	Conversation, MessageRef string
	Persons                  []string
	IsReplay                 bool
	Data                     []byte // JSON
}

// Erased is an event of a person who has been erased: a normal value, no failure.
type Erased struct {
	ID, Type, Tenant, Request string
	ReceivedAtMs              int64
	Pseudonyms                []string
}

// SubjectErased says which pseudonyms to forget, and up to when.
type SubjectErased struct {
	Request      string   `json:"request"`
	Tenant       string   `json:"tenant"`
	Pseudonyms   []string `json:"pseudonyms"`
	WatermarkS   *int64   `json:"watermark_s"`
	ExecutedAtMs *int64   `json:"executed_at_ms"`
}

// Unavailable is a record whose private half was destroyed on schedule.
type Unavailable struct{ Reason string }

// Error says why a record does not read. Code: tampered, contract_violation, replay_limit, key_not_yet_known.
type Error struct{ Code, text string }

func (err *Error) Error() string { return err.text }

func tampered(text string) error  { return &Error{"tampered", text} }
func violation(text string) error { return &Error{"contract_violation", text} }
