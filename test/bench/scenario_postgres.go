package main

import (
	"context"
	"errors"
)

// postgres is the scenario load with the store in PostgreSQL, on the embedded broker. The limit writes its rows there too. The
// error is pgtest.ErrMissing where there is none.
func (b *bench) postgres(ctx context.Context) (rep *loadReport, err error) {
	server, err := b.startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	if rep, err = b.compare(ctx, "postgres", server); err != nil {
		return nil, err
	}
	rep.Server = &server.postgresReport
	rep.checkWhole()
	durable := server.Settings["fsync"] == "on" && server.Settings["synchronous_commit"] == "on"
	expect(rep.Checks, "what is committed is on disk", durable, "fsync %s, synchronous_commit %s", server.Settings["fsync"], server.Settings["synchronous_commit"])
	return rep, nil
}
