package main

import (
	"fmt"
	"os"
	"syscall"
)

// journal makes writes durable in groups: while one fdatasync runs, the next group forms.
type journal struct {
	file   *os.File
	offset int64
	in     chan entry
}

type entry struct {
	body    []byte
	durable chan<- error
}

// journalSize is where the journal starts over. It was written in full before, so that no write changes the file's size:
// that would make fdatasync write the inode too.
const journalSize = 64 << 20

func openJournal(path string) (*journal, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range journalSize / len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return nil, fmt.Errorf("prepare journal: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("prepare journal: %w", err)
	}
	return &journal{file: f, in: make(chan entry, 4096)}, nil
}

// write hands body over; durable gets nil once it is on disk.
func (j *journal) write(body []byte, durable chan<- error) { j.in <- entry{body, durable} }

// stop ends run once everything handed over is written.
func (j *journal) stop() { close(j.in) }

// run writes until stop. What is written is durable by then: closing the file, as the process ends, adds nothing.
func (j *journal) run() {
	var group []entry
	var buf []byte
	for e := range j.in {
		group, buf = append(group[:0], e), append(buf[:0], e.body...)
		for len(j.in) > 0 && len(buf) < 1<<20 {
			e := <-j.in
			group, buf = append(group, e), append(buf, e.body...)
		}
		err := j.sync(buf)
		for _, e := range group {
			e.durable <- err
		}
	}
}

func (j *journal) sync(buf []byte) error {
	if j.offset+int64(len(buf)) > journalSize {
		j.offset = 0
	}
	if _, err := j.file.WriteAt(buf, j.offset); err != nil {
		return err
	}
	j.offset += int64(len(buf))
	return syscall.Fdatasync(int(j.file.Fd()))
}
