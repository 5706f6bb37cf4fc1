package zookeeper

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
)

const (
	// maxRequestBytes keeps a request below what a server accepts (1,048,575).
	maxRequestBytes = 1_000_000
	// readTries limits how often a read is repeated because its znode keeps changing.
	readTries = 10
)

var errTooLarge = fmt.Errorf("larger than %d bytes, which is more than ZooKeeper accepts", maxRequestBytes)

// get reads a znode and sets a watch unless one is set already: the library would
// keep a channel for each watch that it is asked to set.
func (s *session) get(path string, watched bool) ([]byte, door.Stat, error) {
	for range readTries {
		data, stat, err := s.getOnce(path, watched)
		if !watched || err != nil && !errors.Is(err, door.ErrNoNode) {
			return data, stat, err
		}
		if s.isArmed(watch{path, watchData}) || s.isArmed(watch{path, watchMissing}) {
			return data, stat, err
		}
	}
	return nil, door.Stat{}, fmt.Errorf("%w: %s keeps being created and deleted", door.ErrUnknownOutcome, path)
}

func (s *session) getOnce(path string, watched bool) ([]byte, door.Stat, error) {
	if !watched || s.isArmed(watch{path, watchData}) || s.isArmed(watch{path, watchMissing}) {
		data, stat, err := s.conn.Get(path)
		if err != nil {
			return nil, door.Stat{}, mapError(err)
		}
		return data, statOf(stat), nil
	}
	data, stat, err := s.getArming(path)
	if err != nil {
		return nil, door.Stat{}, err
	}
	return data, statOf(stat), nil
}

// getArming reads a znode and sets a watch, whether the znode exists or not. It
// records the watch before the request, because its event may arrive before the
// goroutine that waits for the answer runs.
func (s *session) getArming(path string) ([]byte, *zk.Stat, error) {
	s.arm(watch{path, watchData})
	data, stat, _, err := s.conn.GetW(path)
	if err == nil {
		return data, stat, nil
	}
	s.disarm(watch{path, watchData})
	if !errors.Is(err, zk.ErrNoNode) {
		return nil, nil, mapError(err)
	}
	s.arm(watch{path, watchMissing})
	exists, _, _, err := s.conn.ExistsW(path)
	switch {
	case err != nil:
		s.disarm(watch{path, watchMissing})
		return nil, nil, mapError(err)
	case exists: // created in between: this set a data watch
		s.move(watch{path, watchMissing}, watch{path, watchData})
		data, stat, err = s.conn.Get(path)
		return data, stat, mapError(err)
	}
	return nil, nil, door.ErrNoNode
}

func (s *session) children(path string, watched bool) ([]string, error) {
	w := watch{path, watchChildren}
	for range readTries {
		names, err := s.childrenOnce(path, watched)
		if err != nil {
			return nil, err
		}
		if !watched || s.isArmed(w) {
			slices.Sort(names)
			return names, nil
		}
	}
	return nil, fmt.Errorf("%w: %s keeps changing", door.ErrUnknownOutcome, path)
}

func (s *session) childrenOnce(path string, watched bool) ([]string, error) {
	w := watch{path, watchChildren}
	if !watched || s.isArmed(w) {
		names, _, err := s.conn.Children(path)
		return names, mapError(err)
	}
	s.arm(w)
	names, _, _, err := s.conn.ChildrenW(path)
	if err != nil {
		s.disarm(w)
	}
	return names, mapError(err)
}

func (s *session) multi(requests []any) error {
	return multiError(s.conn.Multi(requests...))
}

// multiError returns the error of a transaction. The server puts its reason at the
// operation that prevented it, and after that a code which says only that the
// transaction failed earlier.
func multiError(results []zk.MultiResponse, err error) error {
	if err == nil {
		return nil
	}
	for i := range results {
		if results[i].Error == nil {
			continue
		}
		cause := mapError(results[i].Error)
		if errors.Is(cause, door.ErrUnknownOutcome) || errors.Is(cause, door.ErrSessionOver) {
			return cause
		}
		return &door.OpError{Op: i, Err: cause}
	}
	return mapError(err)
}

func encodeOps(ops []door.Op) ([]any, error) {
	const fixed = 64 // header, access list, lengths
	requests := make([]any, len(ops))
	size := fixed
	for i, op := range ops {
		size += fixed + len(op.Path) + len(op.Data)
		switch op.Kind {
		case door.OpCreate:
			requests[i] = &zk.CreateRequest{Path: op.Path, Data: op.Data, Acl: zk.WorldACL(zk.PermAll)}
		case door.OpCreateEphemeral:
			requests[i] = &zk.CreateRequest{Path: op.Path, Data: op.Data, Acl: zk.WorldACL(zk.PermAll), Flags: zk.FlagEphemeral}
		case door.OpSet:
			requests[i] = &zk.SetDataRequest{Path: op.Path, Data: op.Data, Version: op.Version}
		case door.OpDelete:
			requests[i] = &zk.DeleteRequest{Path: op.Path, Version: op.Version}
		case door.OpCheck:
			requests[i] = &zk.CheckVersionRequest{Path: op.Path, Version: op.Version}
		default:
			return nil, fmt.Errorf("operation %d of a transaction has unknown kind %d", i, op.Kind)
		}
	}
	if size >= maxRequestBytes {
		return nil, fmt.Errorf("a transaction of %d operations is %w", len(ops), errTooLarge)
	}
	return requests, nil
}

func statOf(s *zk.Stat) door.Stat {
	return door.Stat{Version: s.Version, EphemeralOwner: s.EphemeralOwner, Czxid: s.Czxid}
}

// mapError translates an error of the library. Only an error that is the server's
// own answer means that the operation certainly failed; after any other the
// outcome is unknown.
func mapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zk.ErrNoNode):
		return door.ErrNoNode
	case errors.Is(err, zk.ErrNodeExists):
		return door.ErrNodeExists
	case errors.Is(err, zk.ErrBadVersion):
		return door.ErrBadVersion
	case errors.Is(err, zk.ErrNotEmpty):
		return door.ErrNotEmpty
	case errors.Is(err, zk.ErrSessionExpired):
		return door.ErrSessionOver
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrInvalidACL),
		errors.Is(err, zk.ErrInvalidPath), errors.Is(err, zk.ErrBadArguments),
		errors.Is(err, zk.ErrNoChildrenForEphemerals):
		return err
	}
	return fmt.Errorf("%w: %v", door.ErrUnknownOutcome, err)
}
