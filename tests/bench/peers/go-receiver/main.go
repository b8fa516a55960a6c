// The peer of the receiver: net/http and franz-go, as plain as a good engineer would write it.
//
// Checks X-Hub-Signature-256 over the raw body, produces the body idempotently with acks=all, answers 200 after the
// acknowledgement. It neither seals nor splits secrets: that is what the bar compares with (PERFORMANCE.md).
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const maxBody = 4 << 20

func main() {
	secret, topic := []byte(os.Getenv("SECRET")), os.Getenv("TOPIC")
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA")),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(5<<20),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	http.HandleFunc("/webhooks/meta/demo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if client.ProduceSync(r.Context(), &kgo.Record{Topic: topic, Value: body}).FirstErr() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
