package httpapi

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"dkv/node"
	"dkv/node/door"
)

// serveKV answers PUT, GET, HEAD and DELETE of /v1/kv/{key}. The key is the rest of
// the path, percent-decoded: it may contain any bytes.
func (a *API) serveKV(w http.ResponseWriter, r *http.Request) {
	q, release, err := a.readKV(w, r)
	if err != nil {
		a.reject(w, err)
		return
	}
	p := a.do(q, release)
	if unanswered(w, p) {
		return
	}
	setIndex(w, p)
	switch {
	case p.Failed:
		writeConditionFailed(w, p)
	case q.Kind == door.RequestGet:
		writeValue(w, r, p)
	case q.Kind == door.RequestDelete && !p.Found:
		writeProblem(w, http.StatusNotFound, door.Done, "no such key")
	default:
		setETag(w, p.Version)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *API) readKV(w http.ResponseWriter, r *http.Request) (q door.Request, release func(), err error) {
	release = nothing
	if err := checkHeaders(r); err != nil {
		return q, nil, err
	}
	if key, ok := strings.CutPrefix(r.URL.Path, kvPrefix); ok {
		q.Key = []byte(key)
	}
	if err := checkKey(q.Key); err != nil {
		return q, nil, err
	}
	if q.Timeout, err = timeoutOf(r); err != nil {
		return q, nil, err
	}
	switch r.Method {
	case http.MethodPut:
		q.Kind = door.RequestPut
	case http.MethodDelete:
		q.Kind = door.RequestDelete
	default:
		q.Kind = door.RequestGet
	}
	if q.If, err = conditionOf(r, q.Kind); err != nil {
		return q, nil, err
	}
	if q.Kind == door.RequestPut {
		q.Value, release, err = a.readBody(w, r, node.MaxValueBytes)
	}
	return q, release, err
}

func nothing() {}

// noVersion is a version that no key ever has.
const noVersion door.Version = math.MaxUint64

// conditionOf reads If-Match and If-None-Match of a write. A read has no condition:
// its If-None-Match is compared with the answer.
func conditionOf(r *http.Request, kind door.RequestKind) (door.Condition, error) {
	match, noneMatch := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case kind == door.RequestGet && match != "":
		return door.Condition{}, badInput(http.StatusBadRequest, "If-Match is only for PUT and DELETE")
	case kind == door.RequestGet, match == "" && noneMatch == "":
		return door.Condition{}, nil
	case match != "" && noneMatch != "":
		return door.Condition{}, badInput(http.StatusBadRequest, "If-Match and If-None-Match cannot be combined")
	case len(r.Header.Values("If-Match")) > 1 || strings.Contains(match, ","):
		return door.Condition{}, badInput(http.StatusBadRequest, "If-Match must be one entity tag or *")
	case noneMatch == "*":
		return door.Condition{Absent: true}, nil
	case noneMatch != "":
		return door.Condition{}, badInput(http.StatusBadRequest, "If-None-Match of a write must be *")
	case match == "*":
		return door.Condition{Present: true}, nil
	}
	version, err := parseETag(match)
	return door.Condition{Match: version}, err
}

// parseETag reads a strong entity tag. A tag that this store never issued yields
// noVersion, so that the condition fails.
func parseETag(text string) (door.Version, error) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' || strings.Contains(text[1:len(text)-1], `"`) {
		return 0, badInput(http.StatusBadRequest, `invalid If-Match %s (want one strong entity tag, such as "7", or *)`, text)
	}
	version, err := strconv.ParseUint(text[1:len(text)-1], 10, 64)
	if err != nil || version == 0 || etag(door.Version(version)) != text {
		return noVersion, nil
	}
	return door.Version(version), nil
}

func etag(v door.Version) string { return `"` + strconv.FormatUint(uint64(v), 10) + `"` }

func setETag(w http.ResponseWriter, v door.Version) {
	if v != 0 {
		w.Header().Set("ETag", etag(v))
	}
}

// setIndex reports the log index at which the request was decided. Tools that check
// histories use it.
func setIndex(w http.ResponseWriter, p door.Response) {
	w.Header()["DKV-Index"] = []string{strconv.FormatUint(uint64(p.Index), 10)}
}

func writeConditionFailed(w http.ResponseWriter, p door.Response) {
	detail := "no such key"
	if p.Found {
		setETag(w, p.Version)
		detail = "the key has version " + strconv.FormatUint(uint64(p.Version), 10)
	}
	writeProblem(w, http.StatusPreconditionFailed, door.Done, detail)
}

func writeValue(w http.ResponseWriter, r *http.Request, p door.Response) {
	if !p.Found {
		writeProblem(w, http.StatusNotFound, door.Done, "no such key")
		return
	}
	setETag(w, p.Version)
	if noneMatches(r, p.Version) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(p.Value)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(p.Value)
}

// noneMatches reports whether the If-None-Match of a read contains the version,
// using weak comparison as RFC 9110 requires for reads.
func noneMatches(r *http.Request, v door.Version) bool {
	for _, line := range r.Header.Values("If-None-Match") {
		for _, tag := range strings.Split(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag(v) {
				return true
			}
		}
	}
	return false
}
