package reader

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

const (
	seedBytes    = 64
	privateBytes = 96
)

// PrivateHalf opens the epoch keys that were sealed to it: HPKE, MLKEM768-X25519, HKDF-SHA256, AES-256-GCM.
type PrivateHalf struct {
	// KeyID is the hex of the 4 bytes that name it: the start of the SHA-256 of the public half.
	KeyID string
	key   hpke.PrivateKey
}

// NewPrivateHalf reads 96 bytes: ML-KEM seed (64), then X25519 scalar (32).
func NewPrivateHalf(raw []byte) (*PrivateHalf, error) {
	if len(raw) != privateBytes {
		return nil, errors.New("a transport private key has 96 bytes")
	}
	pq, err := mlkem.NewDecapsulationKey768(raw[:seedBytes])
	if err != nil {
		return nil, err
	}
	scalar, err := ecdh.X25519().NewPrivateKey(raw[seedBytes:])
	if err != nil {
		return nil, err
	}
	key, err := hpke.NewHybridPrivateKey(pq, scalar)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(append(pq.EncapsulationKey().Bytes(), scalar.PublicKey().Bytes()...))
	return &PrivateHalf{hex.EncodeToString(id[:4]), key}, nil
}

func (half *PrivateHalf) open(sealed, info []byte) ([]byte, error) {
	return hpke.Open(half.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
}
