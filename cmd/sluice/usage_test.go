package main

import (
	"strings"
	"testing"
)

func TestBadCommandLinesExitWith2AndSayWhatIsWanted(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tc := range map[string]struct {
		line string
		want string
	}{
		"an unknown command":                {"envets", "there is no command envets, did you mean events?"},
		"an unknown command, nothing near":  {"frobnicate", "there is no command frobnicate, want dev, serve"},
		"an unknown command below another":  {"events lst", "there is no command lst, did you mean list or get?"},
		"a command that may be a secret":    {"whsec_AAAABBBBCCCCDDDDEEEEFFFF", "no such command, want dev"},
		"an unknown flag":                   {"events --bogus", "unknown flag: --bogus"},
		"a flag without its value":          {"events --type", "--type: its value is missing"},
		"an argument too few":               {"trigger github", "want PROVIDER EVENT, got 1 argument"},
		"no argument":                       {"endpoints get", "want ENDPOINT, got nothing"},
		"an argument too many":              {"endpoints get a b", "want ENDPOINT, got 2 arguments"},
		"an argument where none is taken":   {"version now", "takes no arguments, got 1"},
		"an argument of a role":             {"serve now", "takes no arguments, got 1"},
		"a command that needs another":      {"keys", "want create"},
		"another that needs one":            {"migrate", "want up or status"},
		"an unknown shell":                  {"completion csh", "there is no command csh, did you mean bash"},
		"help of nothing":                   {"help frobnicate", "there is no command frobnicate"},
		"an unknown provider":               {"trigger gitbuh push", "want one of basic, github"},
		"an unknown sample":                 {"trigger github pusch", "github has push"},
		"a limit of nothing":                {"events --limit 0", `--limit: "0": want a number from 1 to`},
		"a limit that is no number":         {"events --limit all", `--limit: "all": want a number`},
		"a time that is none":               {"events --since yesterday", "want how long ago, such as 15m"},
		"a state there is not":              {"deliveries --state lost", "want queued, delivered, dead or canceled"},
		"a format there is not":             {"events -o xml", "want table, json or yaml"},
		"an event that is none":             {"events get evt_1", "want EVENT: event id"},
		"a delivery that is none":           {"deliveries retry evt_1", "want DELIVERY: delivery id"},
		"an event to filter by":             {"deliveries --event 1", "--event: event id"},
		"data twice":                        {"send --type a --data 1 --file x", "--data and --file: give one of them alone"},
		"data that is no JSON":              {"send --type a --data yes!", "not JSON"},
		"an event without a type":           {"send", "--type: say what happened"},
		"a source without a provider":       {"sources create a", "want NAME and --provider, or -f FILE"},
		"a source from both":                {"sources create -f x.yaml --provider github", "leave --provider out"},
		"a name beside a file":              {"sources create a -f x.yaml", "leave NAME out"},
		"a param without a value":           {"sources create a --provider hmac --param header", "--param: want NAME=VALUE"},
		"a secret from nowhere":             {"sources create a --provider github --secret env:NOWHERE", "NOWHERE of the environment is not set"},
		"an endpoint without a URL":         {"endpoints create a", "want NAME and --url, or -f FILE"},
		"an endpoint that gets nothing":     {"endpoints create a --url https://example.com", "say what it gets"},
		"a timeout that is none":            {"endpoints create a --timeout 5", `--timeout: "5": not a duration`},
		"a rate that is none":               {"endpoints create a --rate much", `--rate: "much": want a number`},
		"a status that is none":             {"listen --status 99", "want a number from 200 to 599"},
		"a port that is none":               {"listen --port 65536", "want a number from 0 to 65535"},
		"a URL that is none":                {"events --control-url localhost:8081", "want a URL such as"},
		"a scope that is none":              {"keys create --scope root", "want admin, tenant or publish"},
		"a moment that is none":             {"verify --provider github --secret 0123456789abcdef --body /dev/null --at noon", "--at"},
		"a header without a colon":          {"verify --provider github --secret 0123456789abcdef --header x", "--header: want 'NAME: VALUE'"},
		"a flag that wants true or false":   {"events --all=perhaps", `--all: "perhaps": want true or false`},
		"a flag with too many dashes":       {"events ---all", "bad flag syntax"},
		"an empty name of a header":         {"endpoints create a --url https://h --type x --header :v", "--header: want NAME:VALUE"},
		"a short flag there is not":         {"events -x", "unknown shorthand flag"},
		"the configuration without a value": {"serve --config", "--config: its value is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sluice(t, strings.Fields(tc.line)...)
			if r.code != exitUsage || r.out != "" {
				t.Errorf("sluice %s: code %d, stdout %q, want %d and nothing", tc.line, r.code, r.out, exitUsage)
			}
			if !strings.Contains(r.err, tc.want) {
				t.Errorf("sluice %s: stderr %q, want %q in it", tc.line, r.err, tc.want)
			}
			if !strings.HasPrefix(r.err, "sluice: ") || !strings.HasSuffix(r.err, "--help' for usage.\n") || strings.Count(r.err, "\n") != 2 {
				t.Errorf("sluice %s: stderr %q, want what is wrong and where the help is", tc.line, r.err)
			}
		})
	}
}

func TestFailuresExitWith1AndSayWhatToDo(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tc := range map[string]struct {
		line string
		want string
	}{
		"nobody at the API":          {"events --control-url http://127.0.0.1:1", "nothing listens at http://127.0.0.1:1 (connection refused)\n  start 'sluice dev'"},
		"nobody to listen for":       {"listen --control-url http://127.0.0.1:1", "nothing listens at http://127.0.0.1:1"},
		"nobody at the ingress":      {"send --type a --url http://127.0.0.1:1", "nothing listens at http://127.0.0.1:1/v1/events (connection refused)"},
		"nobody to trigger":          {"trigger github push --secret 0123456789abcdef --url http://127.0.0.1:1", "nothing listens at http://127.0.0.1:1/in/github"},
		"a file that is not there":   {"sources create -f nowhere.yaml", "nowhere.yaml"},
		"no configuration there":     {"serve --config nowhere.yaml", "nowhere.yaml: no such file"},
		"a directory that is a file": {"serve --config testdata.yaml", "data_dir: "},
		"a fleet on one machine":     {"egress", "sluice serve"},
		"no database":                {"migrate status", "'sluice migrate up'"},
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, "file", "")
			writeFile(t, "testdata.yaml", "data_dir: file\n")
			r := sluice(t, strings.Fields(tc.line)...)
			if r.code != exitFailed || r.out != "" || !strings.Contains(r.err, tc.want) {
				t.Errorf("sluice %s: got %+v, want code 1 and %q", tc.line, r, tc.want)
			}
			if strings.Contains(r.err, "goroutine") || strings.Contains(r.err, "--help") {
				t.Errorf("sluice %s: stderr %q", tc.line, r.err)
			}
		})
	}
}
