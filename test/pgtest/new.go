package pgtest

import "errors"

// New starts a server for a program that is no test. It needs no [Main], and ends with Close, or with the process. The
// error is [ErrMissing] where no server can be started.
func New(opts Options) (*Server, error) {
	p, err := installed()
	if err != nil {
		return nil, err
	}
	s, err := prepare(p, opts)
	if err != nil {
		return nil, err
	}
	if err := s.create(whole.template); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes a server's folder.
func prepare(p *programs, opts Options) (*Server, error) {
	own, err := p.tempFolder(opts.Within)
	if err != nil {
		return nil, err
	}
	s := newServer(p, own.path, opts)
	s.own = own
	return s, nil
}

// Close ends the server at once and removes what it kept.
func (s *Server) Close() error {
	if s.process != nil {
		s.process.end(immediate)
	}
	if s.own == nil {
		return nil
	}
	return s.own.remove()
}
