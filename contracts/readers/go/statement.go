package reader

import (
	"encoding/binary"
	"encoding/hex"
)

const statementFixed = 38

// statement says who seals what for whom, from when to when (Unix seconds).
type statement struct {
	keyID, tenant, signer, topic string
	notBeforeS, notAfterS        uint64
}

func decodeStatement(raw []byte) (statement, error) {
	unreadable := tampered("the epoch statement cannot be read")
	if len(raw) < statementFixed+2 || raw[0] != 1 || raw[1] != 1 {
		return statement{}, unreadable
	}
	signerEnd := statementFixed + 1 + int(raw[statementFixed])
	if signerEnd >= len(raw) || signerEnd+1+int(raw[signerEnd]) != len(raw) {
		return statement{}, unreadable
	}
	for _, letter := range raw[statementFixed:] {
		if letter > 127 {
			return statement{}, unreadable
		}
	}
	return statement{
		keyID:      hex.EncodeToString(raw[2:6]),
		tenant:     uuidText(raw[6:22]),
		notBeforeS: binary.BigEndian.Uint64(raw[22:]),
		notAfterS:  binary.BigEndian.Uint64(raw[30:]),
		signer:     string(raw[statementFixed+1 : signerEnd]),
		topic:      string(raw[signerEnd+1:]),
	}, nil
}

func uuidText(raw []byte) string {
	text := hex.EncodeToString(raw)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
