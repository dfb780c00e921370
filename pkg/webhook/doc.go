// Package webhook signs webhooks and verifies them as Standard Webhooks 1.0.0 says (github.com/standard-webhooks):
// v1, HMAC-SHA256 with a shared secret, and v1a, ed25519 with a key pair. What is signed is ID.TIMESTAMP.BODY, over the
// exact bytes of the body; several secrets sign or verify at once while they are rotated.
//
// Receivers call Verify, or keep a Verifier. Senders keep a Signer for each set of secrets.
//
// # Secrets
//
//	whsec_…  base64 of a shared secret
//	whsk_…   base64 of an ed25519 private key: seed and public key (64 bytes), or the seed alone (32)
//	whpk_…   base64 of an ed25519 public key: 32 bytes, or its X.509 form (44)
//
// Errors say what is wrong with a secret or a signature and never contain a secret.
package webhook
