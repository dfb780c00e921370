// Package config is the configuration file: one YAML document, its overrides in the environment, references to secrets,
// and what each part of Sluice gets of it.
//
// Load reads in this order, the later one wins: the caller's defaults, the file, variables SLUICE_ + path in upper case
// (SLUICE_BROKER_URL). Then it resolves references env:NAME and file:PATH and validates. All problems are reported at
// once, each with its path and, where it stands in the file, with line, column and a caret.
//
// The file is strict: unknown keys, keys that stand twice, values of another type, anchors, aliases, tags and tabs are
// errors. It is bounded before it is parsed: MaxFile bytes, maxNesting deep, maxKeys keys in one mapping.
//
// Problems never contain a secret: values of secrets, URLs, headers and parameters are not quoted, and of a line of the
// file nothing is shown but the key and, where it is harmless, the value in question.
//
// docs/config.md is generated from the structs here: go test ./pkg/config -update.
package config
