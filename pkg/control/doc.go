// Package control is the management API: what people and the command line use to see and change a Sluice.
//
// It is also the one grammar of sources and endpoints: SourceSpec and EndpointSpec are what the configuration file and
// the API take, and ValidateSource and ValidateEndpoint turn them into what the store keeps.
//
// # What is authoritative
//
// The store. The API keeps nothing but the API keys of this process's snapshot. An answer to a change comes once the
// change is committed and, where cmd gives a Settle, once this process acts on it; other processes follow within 2 s.
//
// # Who may do what
//
// With auth "keys" a request carries "Authorization: Bearer slk_…". Admin keys see all tenants, tenant keys their own:
// what belongs to another tenant does not exist for them (404). Publish keys may do nothing here (403). With auth
// "none", which only a loopback listener may have, whoever reaches the listener is admin; requests that a web page
// could make a browser send are refused by their Host, Origin and content type.
//
// # What leaves
//
// Secrets go in and never come out, except a signing secret that Sluice generated, in the answer to the request that
// made it. Validation errors name places, not values that may be secret. A body leaves as a download, never as
// something a browser would show.
//
// # What fails
//
// With the store away every route answers 503 within its deadline. A request is bounded in headers, body and time,
// connections are bounded in number, and lists in length.
package control
