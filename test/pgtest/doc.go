// Package pgtest runs real PostgreSQL servers, and PgBouncer before them, for tests.
//
// The programs are those that are installed: the newest under /usr/lib/postgresql, else what PATH has. Servers listen on
// a free loopback port, keep their data in a temporary folder, and end with the test, or with the test binary should it
// be killed. They never run as root: a test that does runs them as user postgres, else as nobody.
//
// A package that uses it hands its TestMain over, which also looks for leaked goroutines:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// [Shared] is one server for the whole test binary, for tests that want a database and no more:
//
//	url := pgtest.Shared(t).Database(t)
//
// [Start] is a server of the test's own, which it may stop, crash, freeze and copy.
//
// Where PostgreSQL is not installed tests are skipped, unless SLUICE_TEST_REQUIRE_POSTGRES is set: then they fail.
package pgtest
