package event

import (
	"crypto/sha256"
	"encoding/binary"
)

// ClaimDigest returns what e claims so that a later copy is known as its duplicate: the first 16 bytes of SHA-256 over
// tenant, source, ce_source, type, GivenID and SHA-256 of the body, each behind its length in four bytes. Only senders
// that name their events can repeat them: without a GivenID it is zero, no claim.
func ClaimDigest(e *Event) [16]byte {
	if e.GivenID == "" {
		return [16]byte{}
	}
	var stack [1024]byte
	buf := stack[:0]
	for _, part := range [...]string{e.Tenant, e.Source, e.CloudSource(), e.Type, e.GivenID} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(part)))
		buf = append(buf, part...)
	}
	body := sha256.Sum256(e.Body)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(body)))
	buf = append(buf, body[:]...)
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}

// CloudSource returns the CloudEvents source of e: Origin, or "/" and Source.
func (e *Event) CloudSource() string {
	if e.Origin != "" {
		return e.Origin
	}
	return slash + e.Source
}
