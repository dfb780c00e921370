package main

import (
	"net/http"
	"strings"
	"testing"
)

// Nothing a command prints when it fails holds the secrets it was given, in whatever way it fails.
func TestSecretsAreNeverInErrors(t *testing.T) {
	const secret, key = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "slk_0123456789abcdefghjkmnpqrstvwxyz0123"
	api := startAPI(t)
	api.answer("POST /v1/sources", http.StatusUnprocessableEntity, problem{http.StatusUnprocessableEntity, "validation failed"})
	api.answer("POST /v1/endpoints", http.StatusUnauthorized, problem{http.StatusUnauthorized, "no valid API key"})
	t.Setenv(envKey, key)
	t.Setenv("OTHER", secret)
	writeFile(t, "secret", secret)
	writeFile(t, "source.yaml", "name: a\nprovider: github\nsecrets:\n  - "+secret+"\n  - "+secret+": x\nunknown: "+secret+"\n")
	writeFile(t, "endpoint.json", `{"name": "a", "url": "https://u:`+secret+`@h/?t=`+secret+`", "auth": {"kind": "bearer", "token": ["`+secret+`"]}}`)
	writeFile(t, "sluice.yaml", "encryption_key: ["+secret+"]\nendpoints:\n  - url: https://h/"+secret+"\n    secrets: ["+secret+", env:"+"NOWHERE]\n")
	writeFile(t, "good.yaml", "data_dir: data\n")
	for _, line := range []string{
		secret,
		"events " + secret,
		"events --type",
		"version " + secret,
		"serve",
		"check",
		"keys create",
		"sources create a --provider github --secret " + secret + " --config good.yaml",
		"sources create a --provider github --secret env:OTHER --param " + secret,
		"sources create -f source.yaml",
		"sources create -f endpoint.json",
		"endpoints create a --url https://h/" + secret + " --type x --secret file:secret --config good.yaml",
		"endpoints create -f endpoint.json",
		"endpoints create a --url https://h/ --type x --header " + secret,
		"trigger github push --secret " + secret + " --url http://127.0.0.1:1/?" + secret + " --config good.yaml",
		"trigger github push --secret " + secret + " --url http://" + secret + "@127.0.0.1:1 --config good.yaml",
		"trigger standard-webhooks x --secret " + secret + "=",
		"send --type a --api-key " + key + " --url http://127.0.0.1:1 --config good.yaml",
		"events --control-url http://127.0.0.1:1 --api-key " + key,
		"events --control-url http://u:" + secret + "@127.0.0.1:1",
		"events --control-url http://127.0.0.1:1/?" + secret,
		"listen --config good.yaml",
		"verify --provider github --secret " + secret + " --body secret",
		"verify --provider basic --secret " + secret + " --body secret",
		"verify --provider github --public-key " + secret + "= --header " + secret,
	} {
		r := sluice(t, strings.Fields(line)...)
		if r.code == exitOK {
			t.Errorf("%s: did not fail: %+v", line, r)
		}
		for _, held := range []string{secret, key, secret[6:]} {
			if strings.Contains(r.out+r.err, held) {
				t.Errorf("%s: prints it: %+v", line, r)
			}
		}
	}
}
