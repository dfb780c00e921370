package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// The version of the schema is PRAGMA user_version; application_id tells other SQLite files apart.
const (
	schemaVersion = 1
	applicationID = 0x536c7563 // "Sluc"
)

// schema makes version 1. Rows of the small tables carry a sum over their other columns: a flipped bit in a position would
// skip messages silently.
var schema = []string{
	`CREATE TABLE topics (
		id      INTEGER PRIMARY KEY,
		name    TEXT    NOT NULL UNIQUE,
		streams INTEGER NOT NULL,
		sum     INTEGER NOT NULL
	)`,
	// first: positions below it are deleted. next: no position below it is given again, even when no row is left.
	`CREATE TABLE streams (
		id     INTEGER PRIMARY KEY,
		topic  INTEGER NOT NULL,
		number INTEGER NOT NULL,
		first  INTEGER NOT NULL,
		next   INTEGER NOT NULL,
		sum    INTEGER NOT NULL
	)`,
	// id: rowID of the first message. time: when all of them were accepted, Unix ms.
	`CREATE TABLE messages (
		id   INTEGER PRIMARY KEY,
		time INTEGER NOT NULL,
		data BLOB    NOT NULL
	)`,
	`CREATE TABLE groups (
		id    INTEGER PRIMARY KEY,
		topic INTEGER NOT NULL,
		name  TEXT    NOT NULL,
		sum   INTEGER NOT NULL,
		UNIQUE (topic, name)
	)`,
	`CREATE TABLE positions (
		"group"  INTEGER NOT NULL,
		stream   INTEGER NOT NULL,
		position INTEGER NOT NULL,
		sum      INTEGER NOT NULL,
		PRIMARY KEY ("group", stream)
	) WITHOUT ROWID`,
	// Rows that hold messages which could not be handed out, as they were found.
	`CREATE TABLE damaged (
		id    INTEGER PRIMARY KEY,
		time  INTEGER NOT NULL,
		found INTEGER NOT NULL,
		data  BLOB    NOT NULL
	)`,
	fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	fmt.Sprintf("PRAGMA user_version = %d", schemaVersion),
}

// migrate brings a file that was just opened to schemaVersion.
func migrate(ctx context.Context, c *conn) error {
	version, err := c.number(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	application, err := c.number(ctx, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.number(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	switch {
	case version == schemaVersion && application == applicationID:
		return checkSchema(ctx, c)
	case application == applicationID && version > schemaVersion:
		return fmt.Errorf("made by a newer Sluice (version %d of the file, this one knows %d): use that", version, schemaVersion)
	case application != 0 || version != 0 || tables != 0:
		return fmt.Errorf("not a broker file of Sluice (application %#x, version %d, %d tables): name another", application, version, tables)
	}
	return c.transact(ctx, func() error {
		for _, sql := range schema {
			if err := c.query(ctx, sql, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkSchema verifies that the tables are as they were made: with a flipped bit there, SQLite would find no rows rather
// than an error.
func checkSchema(ctx context.Context, c *conn) error {
	for _, sql := range schema {
		if !strings.HasPrefix(sql, "CREATE ") {
			continue
		}
		n, err := c.number(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND sql = ? AND name = tbl_name", sql)
		if err != nil {
			return err
		}
		if n != 1 {
			return &damageError{"a table is not as it was made: " + strings.TrimSpace(strings.Split(sql, "(")[0])}
		}
	}
	return nil
}

// rowSum is the sum of a small table's row; kind keeps rows of different tables apart.
func rowSum(kind string, name string, columns ...int64) int64 {
	b := append([]byte(kind), 0)
	for _, v := range columns {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return int64(crc32.Checksum(append(b, name...), castagnoli))
}

// integers takes the columns of a row that are numbers.
func integers(row []driver.Value) ([]int64, error) {
	out := make([]int64, len(row))
	for i, v := range row {
		var err error
		if out[i], err = integer(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
