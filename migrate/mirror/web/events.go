package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/regferry/regferry/migrate/mirror/hint"
)

// events takes notifications. What there is no room for is no error: a registry
// would send it again, for ever, and what comes after it would wait.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.token == nil && s.public && !s.o.OpenEvents:
		line(w, http.StatusForbidden, "notifications are not taken: this address is open to others, and there is no token that senders have to know")
		return
	case s.token != nil && !bears(r, s.token.get()):
		s.o.Log.Warn("a notification came without the right token", "from", r.RemoteAddr)
		w.Header().Set("WWW-Authenticate", "Bearer")
		line(w, http.StatusUnauthorized, "the header Authorization has to be Bearer and the token of this mirror")
		return
	}
	hints, err := hint.Parse(r.Header.Get("Content-Type"), r.Body, maxBody)
	if err != nil {
		s.o.Log.Warn("a notification was refused", "from", r.RemoteAddr, "error", err)
		line(w, refusal(err), err.Error())
		return
	}
	queued, lost := 0, 0
	told := map[string]bool{}
	for _, h := range hints {
		switch {
		case told[h.Repository]:
			continue
		case s.o.Source.Hint(h.Repository):
			queued++
		default:
			lost++
		}
		told[h.Repository] = true
	}
	if len(told) == 0 {
		line(w, http.StatusOK, "nothing in it changes the storage")
		return
	}
	line(w, http.StatusAccepted, fmt.Sprintf("repositories queued: %d, left to the next round: %d", queued, lost))
}

func refusal(err error) int {
	switch {
	case errors.Is(err, hint.ErrType):
		return http.StatusUnsupportedMediaType
	case errors.Is(err, hint.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// bears compares in a time that says nothing of the token, its length neither.
func bears(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}
