package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestReasonsArePrintableAndShort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "größer": "größer", "a\r\nb\x00\x1b[31m": "a??b??[31m", "bad \xff\xfe": "bad ??", "right\u202eleft": "right?left",
		strings.Repeat("x", 513):                strings.Repeat("x", 512),
		strings.Repeat("x", 511) + "ü" + "tail": strings.Repeat("x", 511), // not half a letter
		strings.Repeat("ü", 300):                strings.Repeat("ü", 256),
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAHostileCertificateMakesAPrintableReason(t *testing.T) {
	t.Parallel()
	cert := &x509.Certificate{DNSNames: []string{"a\r\n\x00\u202e.example", strings.Repeat("x", 600)}}
	got := reason(0, &failure{stageTLS, &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: cert, Host: "secret.example"}}}, time.Second)
	if want := "tls: certificate is not for the endpoint's host but for a????.example, xxx"; !strings.HasPrefix(got, want) || len(got) != maxReason {
		t.Errorf("reason = %q, want %s… of 512 bytes", got, want)
	}
}

func TestReasonsOfWhatIsUnknownSayNothingOfIt(t *testing.T) {
	t.Parallel()
	unknown := errors.New("https://example.com/?key=secret")
	for _, err := range []error{unknown, &failure{stageConnect, unknown}, &failure{stageAnswer, unknown}, &failure{stageAnswer, errors.Join(unknown, io.EOF)}} {
		if got := reason(0, err, time.Second); got == "" || strings.Contains(got, "example") || strings.Contains(got, "secret") {
			t.Errorf("reason(%v) = %q", err, got)
		}
	}
}
