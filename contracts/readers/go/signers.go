package reader

import "crypto/ed25519"

// Signer is a public signing key and what it may say.
type Signer struct {
	Key ed25519.PublicKey
	May map[string]bool
}

// Signers are those whose signatures count, by name.
type Signers map[string]Signer

// Pinned trusts these keys of 32 bytes: `router`, `erasure`, `store`. Each may say what a process of that name may say.
func Pinned(keys map[string][]byte) Signers {
	rights := map[string]map[string]bool{
		"router":  {"seal.tenant": true},
		"erasure": {"seal.tenant": true, "announce.erasure": true},
		"store":   {"quarantine.tenant": true},
	}
	known := Signers{}
	for name, key := range keys {
		known[name] = Signer{key, rights[name]}
	}
	return known
}

func (signers Signers) verify(name, right string, signature, message []byte) error {
	signer, known := signers[name]
	if !known || !signer.May[right] || len(signer.Key) != ed25519.PublicKeySize {
		return tampered("signed by nobody who may sign this")
	}
	if !ed25519.Verify(signer.Key, message, signature) {
		return tampered("the signature does not verify")
	}
	return nil
}
