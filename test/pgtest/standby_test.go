package pgtest_test

import (
	"testing"

	"github.com/sluicehq/sluice/test/pgtest"
)

func TestStandbyTakesOver(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Options{NoSync: true})
	standby := primary.Standby(t)
	primary.Exec(t, "postgres", "CREATE TABLE before()")
	standby.AwaitCaughtUp(t, primary)
	if err := try(standby.URL("postgres"), patience, "CREATE TABLE refused()"); err == nil {
		t.Fatal("a standby takes writes")
	}
	primary.Stop(t, pgtest.Fast)
	standby.Promote(t)
	standby.Exec(t, "postgres", "CREATE TABLE after()")
	primary.Follow(t, standby)
	primary.AwaitCaughtUp(t, standby)
	primary.Exec(t, "postgres", "SELECT FROM before, after")
}
