package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestEverySettingCanBeSetInTheEnvironment sets each value, of whatever kind, to something it is not by default.
func TestEverySettingCanBeSetInTheEnvironment(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"SLUICE_DATA_DIR": "/d", "SLUICE_ENCRYPTION_KEY": sealKey + ", " + sealKey,
		"SLUICE_BROKER_URL": "sqlite:", "SLUICE_BROKER_TOPIC": "t", "SLUICE_BROKER_GROUP": "g",
		"SLUICE_STORE_URL": "sqlite:", "SLUICE_STORE_RETENTION_BODIES": "1d", "SLUICE_STORE_RETENTION_HISTORY": "2d",
		"SLUICE_INGRESS_LISTEN": ":1", "SLUICE_INGRESS_PUBLIC_URL": "https://h", "SLUICE_INGRESS_MAX_BODY": "2MiB", "SLUICE_INGRESS_MAX_CONNS": "1", "SLUICE_INGRESS_MAX_CONNS_PER_IP": "2",
		"SLUICE_EGRESS_IN_FLIGHT": "3", "SLUICE_EGRESS_SLOW_IN_FLIGHT": "4", "SLUICE_EGRESS_BODIES": "5MiB", "SLUICE_EGRESS_OPEN_DELIVERIES": "6",
		"SLUICE_EGRESS_COMMIT": "settled", "SLUICE_EGRESS_MAX_HOLD": "7s", "SLUICE_EGRESS_DRAIN": "8s", "SLUICE_EGRESS_IDLE_CONNECTIONS": "9",
		"SLUICE_CONTROL_LISTEN": "127.0.0.1:2", "SLUICE_CONTROL_AUTH": "none", "SLUICE_OPS_LISTEN": ":3",
		"SLUICE_NETWORK_ALLOW": "10.0.0.0/8, fd00::/8,", "SLUICE_NETWORK_ALLOW_HTTP": "true",
		"SLUICE_TELEMETRY_LOG_LEVEL": "warn", "SLUICE_TELEMETRY_LOG_FORMAT": "json", "SLUICE_TELEMETRY_OTLP_ENDPOINT": "http://h:1", "SLUICE_TELEMETRY_TRACE_SAMPLE": "0.25",
	}
	var environ []string
	for name, value := range values {
		environ = append(environ, name+"="+value)
	}
	c := loadText(t, "", environ...)
	for name, got := range settings(t, "", reflect.ValueOf(*c)) {
		want, ok := values[name]
		if !ok {
			t.Errorf("%s is a setting, and not tested here", name)
			continue
		}
		delete(values, name)
		if strings.ReplaceAll(strings.TrimSuffix(want, ","), " ", "") != got {
			t.Errorf("%s=%s sets %s", name, want, got)
		}
	}
	for name := range values {
		t.Errorf("%s is no setting", name)
	}
}

// settings returns the text of every value of the configuration, by variable.
func settings(t *testing.T, path string, v reflect.Value) map[string]string {
	t.Helper()
	out := map[string]string{}
	for i := range v.NumField() {
		name, field := yamlName(v.Type().Field(i)), v.Field(i)
		at := join(path, name)
		switch {
		case name == "-" || name == "sources" || name == "endpoints":
		case field.Kind() == reflect.Struct:
			for k, s := range settings(t, at, field) {
				out[k] = s
			}
		default:
			out[variableOf(at)] = textOf(field)
		}
	}
	return out
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	t.Parallel()
	c := loadText(t, "egress: {in_flight: 0, max_hold: nonsense}\nnetwork: {allow: [nonsense]}\n",
		"SLUICE_EGRESS_IN_FLIGHT=1", "SLUICE_EGRESS_IN_FLIGHT=2", "SLUICE_EGRESS_MAX_HOLD=1s", "SLUICE_NETWORK_ALLOW=10.0.0.0/8")
	if c.Egress.InFlight != 2 || c.Egress.MaxHold.String() != "1s" || !slices.Equal(c.Network.Allow, []string{"10.0.0.0/8"}) {
		t.Errorf("got %+v, %+v", c.Egress, c.Network)
	}
}

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	t.Parallel()
	c := loadText(t, "egress: {in_flight: 3}\n", "SLUICE_EGRESS_IN_FLIGHT=", "SLUICE_BROKER_URL=")
	if c.Egress.InFlight != 3 || c.Broker.URL != SQLite {
		t.Errorf("got %+v, %+v", c.Egress, c.Broker)
	}
}

func TestProblemsNameTheVariable(t *testing.T) {
	t.Parallel()
	tests := []struct{ environ, want string }{
		{"SLUICE_EGRESS_IN_FLIGHT=x", "SLUICE_EGRESS_IN_FLIGHT: egress.in_flight: want a whole number"},
		{"SLUICE_EGRESS_IN_FLIGHT=0", "SLUICE_EGRESS_IN_FLIGHT: egress.in_flight: 0 is too small, want 1 or more"},
		{"SLUICE_NETWORK_ALLOW=10.0.0.0/8,x", `SLUICE_NETWORK_ALLOW: network.allow[1]: "x": not a CIDR, want one such as 10.0.0.0/8`},
		{"SLUICE_STORE_URL=host=h password=hunter2", "SLUICE_STORE_URL: store.url: not a known scheme, want sqlite: or postgres://…"},
		{"SLUICE_ENCRYPTION_KEY=env:NONE", "SLUICE_ENCRYPTION_KEY: encryption_key[0]: variable NONE of the environment is not set"},
	}
	for _, tt := range tests {
		if got := loadError(t, "egress:\n  drain: 5s\n", tt.environ); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.environ, got, tt.want)
		}
	}
}

func TestVariablesThatLookLikeSettingsAreWarnedAbout(t *testing.T) {
	t.Parallel()
	_, warnings, err := load(Input{Base: Defaults(), Environ: []string{
		"SLUICE_BROKER_URI=x", "SLUICE_EGRESS_INFLIGHT=1", // mistakes
		"SLUICE_API_KEY=slk_1", "SLUICE_CONFIG=x", "SLUICE_SERVICE_HOST=1", "SLUICE_CONTROL_SERVICE_PORT=1", // somebody else's
		"SLUICE_CONTROL_PORT=tcp://10.0.0.1:80", "SLUICE_CONTROL_PORT_80_TCP=x", "SLUICE=1", "PATH=/bin",
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"SLUICE_BROKER_URI is no setting of this version and ignored",
		"SLUICE_EGRESS_INFLIGHT is no setting of this version and ignored",
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
}
