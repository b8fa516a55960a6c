// Command openbao is OpenBao's own, made from its modules: go.mod pins the release, go.sum holds every module's checksum.
// Without the build tag "ui" it has no web pages. Only tests use it.
package main

import (
	"os"

	"github.com/openbao/openbao/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
