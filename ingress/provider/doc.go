// Package provider knows what each webhook provider sends: how its requests are signed, what it calls an event, how it
// checks that a receiver is alive, and how long it waits.
//
// A preset is data, one YAML file in presets, embedded. Bind joins it with a source's parameters and secrets to a Scheme,
// which verifies requests, answers challenges, names events, and signs requests like the provider does (for tests and
// `sluice trigger`). Everything a preset says is checked when it is bound; nothing in a request ever chooses an algorithm.
//
// # The grammar of a preset
//
//	title, docs   for people
//	methods       what counts as a delivery; other methods reach only a challenge
//	deadline      how long the provider waits for an answer
//	params        per-source constants {name: {default, values, required, doc}}; {param:NAME} stands for one in any text below
//	secret        {new: TEXT}, TEXT with {hex:N} and {base64:N} for N random bytes, makes one up for a local source
//	verify        steps that must all pass; a step is {any_of: [steps]}, or of kind hmac, ed25519, token or basic
//	dedupe        what the provider calls the event: alternatives, the first that is there wins
//	type          {from: alternatives, dots_for: CHARACTERS that become dots}
//	headers       provider headers to keep with the event
//	challenge     [{method, when: [SELECTOR=VALUE or SELECTOR], verified, reply: {status, content_type, body: TEMPLATE}}]
//	respond       {ok: {status, content_type, body}, invalid: {status}}, by default 200 and 401 without a body
//	samples       [{event, headers, content_type, file}], bodies in presets/NAME/EVENT.json
//
// A step of kind hmac or ed25519 has
//
//	algo      sha1, sha256, sha384 or sha512 (hmac)
//	sig       {from: SELECTOR, prefix, list, pair, pick, encoding: hex, base64 or base64url}: the text after prefix, or the
//	          items between list whose key (before pair) is pick; other items are ignored
//	content   a template of what is signed: {body}, {ts}, {sig.KEY}, {method}, {url}, and {SELECTOR}
//	ts        {from: SELECTOR or sig.KEY, unit: s, ms or rfc3339, tolerance, future}
//	key       {encoding: utf8, hex or base64, strip_prefix, claims, private}
//
// and a step of kind token has {from, prefix}. A secret goes to the step that claims its prefix, else to the first one
// that claims none; a step of an any_of without a secret does not take part, so it is the configured secret, never the
// request, that chooses the scheme.
//
// A SELECTOR is header:NAME, query:NAME, json:PATH, form:NAME or form:NAME#PATH (JSON in a form field). An alternative of
// dedupe or type may join several with "+" and add const:TEXT.
//
// # Rules
//
// Signatures are compared in constant time, as the text that a correct sender would have written: another spelling of the
// same bytes is refused. What is signed is the raw body. A header that counts must be there exactly once. The text of a
// timestamp is signed as sent and checked against the clock after the signature. A text of the request that is followed
// by a separator in content must not contain it, or one signature would have two readings. Whatever cannot be
// checked is refused.
package provider
