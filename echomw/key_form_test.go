package echomw_test

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// formEcho serves POST /login behind a limiter by the field "email", after the
// middleware.
func formEcho(t *testing.T, handler echo.HandlerFunc, before ...echo.MiddlewareFunc) *echo.Echo {
	t.Helper()
	e := echo.New()
	e.Use(before...)
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyByForm("email"),
	}))
	e.POST("/login", handler)
	return e
}

func login(e *echo.Echo, options ...requestOption) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, request(append([]requestOption{path("/login")}, options...)...))
	return rec
}

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

func TestHandlerFindsTheFormAfterKeyByForm(t *testing.T) {
	for name, form := range map[string]requestOption{
		"urlencoded": urlencoded("email=a%40example.com&password=p"),
		"multipart":  multipartForm("email", "a@example.com", "password", "p"),
	} {
		t.Run(name, func(t *testing.T) {
			e := formEcho(t, func(c echo.Context) error {
				assert.Equal(t, "a@example.com", c.FormValue("email"))
				params, err := c.FormParams()
				require.NoError(t, err)
				assert.Equal(t, []string{"p"}, params["password"])
				var bound struct {
					Email    string `form:"email"`
					Password string `form:"password"`
				}
				require.NoError(t, c.Bind(&bound))
				assert.Equal(t, "a@example.com", bound.Email)
				assert.Equal(t, "p", bound.Password)
				return c.NoContent(http.StatusNoContent)
			})
			assert.Equal(t, http.StatusNoContent, login(e, form).Code)
			assert.Equal(t, http.StatusTooManyRequests, login(e, form).Code)
		})
	}
}

func TestHandlerFindsTheFilesAfterKeyByForm(t *testing.T) {
	var text strings.Builder
	form := multipart.NewWriter(&text)
	require.NoError(t, form.WriteField("email", "a"))
	part, err := form.CreateFormFile("avatar", "a.png")
	require.NoError(t, err)
	_, err = io.WriteString(part, "pixels")
	require.NoError(t, err)
	require.NoError(t, form.Close())

	e := formEcho(t, func(c echo.Context) error {
		file, err := c.FormFile("avatar")
		require.NoError(t, err)
		opened, err := file.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(opened)
		require.NoError(t, err)
		assert.Equal(t, "pixels", string(content))
		return c.NoContent(http.StatusNoContent)
	})
	assert.Equal(t, http.StatusNoContent, login(e, body(form.FormDataContentType(), text.String())).Code)
}

// A handler that asks FormValue gets the query's value of a multipart form, and it is
// not the one to count by: a new one in the body would be a new quota for each guess.
func TestFieldInTheQueryIsRefused(t *testing.T) {
	const twice, misplaced = "form field email occurs more than once", "form field email is in the URL's query; it belongs in the body"
	e := formEcho(t, noContent)
	for name, test := range map[string]struct {
		form requestOption
		text string
	}{
		"and in a multipart form":    {multipartForm("email", "made-up"), twice},
		"and in an urlencoded form":  {urlencoded("email=made-up"), twice},
		"and not in the form":        {urlencoded("password=p"), misplaced},
		"and not in the multipart":   {multipartForm("password", "p"), misplaced},
		"and there is no form":       {body(echo.MIMEApplicationJSON, "{}"), misplaced},
		"and the field has no value": {urlencoded("email="), twice},
	} {
		rec := login(e, test.form, query("email=victim"))
		assert.Equal(t, http.StatusBadRequest, rec.Code, name)
		assert.JSONEq(t, `{"message":"`+test.text+`"}`, rec.Body.String(), name)
	}
	assert.Equal(t, http.StatusNoContent, login(e, multipartForm("email", "a"), query("page=1")).Code)
}

func TestFormThatCannotBeRead(t *testing.T) {
	const contentType = "multipart/form-data; boundary=b"
	for name, form := range map[string]requestOption{
		"bad escape":              urlencoded("email=a&made-up=%zz"),
		"semicolon":               urlencoded("email=a;made-up=1"),
		"bad query":               func(r *http.Request) { urlencoded("email=a")(r); r.URL.RawQuery = "made-up=%zz" },
		"no end":                  body(contentType, "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nmade-up"),
		"no boundary":             body("multipart/form-data", "made-up"),
		"no part":                 body(contentType, "made-up"),
		"bad header of a part":    body(contentType, "--b\r\nmade-up\r\n\r\n1\r\n--b--\r\n"),
		"too long a first line":   body(contentType, "--b\r\n "+strings.Repeat("made-up", 20)+"\r\n\r\n"),
		"too much":                urlencoded("email=" + strings.Repeat("a", 10<<20)),
		"too many parts":          multipartForm(slices.Repeat([]string{"email", "made-up"}, 1001)...),
		"bad content type":        body("application/x-www-form-urlencoded; made-up", "email=a"),
		"body that breaks off":    failingBody(io.ErrUnexpectedEOF),
		"a nil error":             failingBody((*echo.HTTPError)(nil)),
		"an error of status 200":  failingBody(echo.NewHTTPError(http.StatusOK, "made-up")),
		"the reader has had it":   func(r *http.Request) { multipartForm("email", "a")(r); _, _ = r.MultipartReader() },
		"text that an error held": failingBody(errors.New("made-up")),
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			rec := login(formEcho(t, noContent, spy(&seen)), form)
			assert.Equal(t, http.StatusBadRequest, rec.Code)
			assert.JSONEq(t, `{"message":"form field email cannot be read: the body is not a valid form"}`, rec.Body.String())
			require.ErrorIs(t, seen, echomw.ErrNoKey)
			assert.NotContains(t, seen.Error(), "made-up")
			assert.NotContains(t, seen.Error(), "zz")
		})
	}
	// Its cause is there for those who ask, but not in its text.
	var seen error
	login(formEcho(t, noContent, spy(&seen)), failingBody(io.ErrUnexpectedEOF))
	require.ErrorIs(t, seen, io.ErrUnexpectedEOF)
}

// failingReader has an error instead of content.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func failingBody(err error) requestOption {
	return func(r *http.Request) {
		urlencoded("")(r)
		r.Body = io.NopCloser(failingReader{err})
	}
}

func TestFormThatIsTooLarge(t *testing.T) {
	replaceBody := func(replace func(c echo.Context, r io.ReadCloser) io.ReadCloser) echo.MiddlewareFunc {
		return func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				c.Request().Body = replace(c, c.Request().Body)
				return next(c)
			}
		}
	}
	tooLarge := echo.ErrStatusRequestEntityTooLarge
	var maxBytes *http.MaxBytesError
	for name, test := range map[string]struct {
		before echo.MiddlewareFunc
		cause  func(error) bool
		text   string
	}{
		"MaxBytesReader": {
			replaceBody(func(c echo.Context, r io.ReadCloser) io.ReadCloser {
				return http.MaxBytesReader(c.Response(), r, 10)
			}),
			func(err error) bool { return errors.As(err, &maxBytes) },
			"form field email cannot be read: the body is too large",
		},
		// What Echo's BodyLimit does when the Content-Length has not told.
		"BodyLimit": {
			replaceBody(func(_ echo.Context, r io.ReadCloser) io.ReadCloser {
				return io.NopCloser(io.MultiReader(io.LimitReader(r, 10), failingReader{tooLarge}))
			}),
			func(err error) bool { return errors.Is(err, tooLarge) },
			"form field email cannot be read: Request Entity Too Large",
		},
	} {
		for form, option := range map[string]requestOption{
			"urlencoded": urlencoded("email=made-up-and-long"),
			"multipart":  multipartForm("email", "made-up-and-long"),
		} {
			t.Run(name+"/"+form, func(t *testing.T) {
				var seen error
				rec := login(formEcho(t, noContent, spy(&seen), test.before), option)
				assert.Equal(t, http.StatusRequestEntityTooLarge, rec.Code)
				assert.JSONEq(t, `{"message":"`+test.text+`"}`, rec.Body.String())
				require.ErrorIs(t, seen, echomw.ErrNoKey)
				assert.True(t, test.cause(seen))
				assert.NotContains(t, seen.Error(), "made-up")
			})
		}
	}
}

// Middleware further out, such as Echo's CSRF, may have asked for a form value.
func TestFormThatWasParsedBefore(t *testing.T) {
	parse := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.FormValue("csrf")
			return next(c)
		}
	}
	for _, form := range []requestOption{urlencoded("email=a"), multipartForm("email", "a")} {
		e := formEcho(t, noContent, parse)
		assert.Equal(t, http.StatusNoContent, login(e, form).Code)
		assert.Equal(t, http.StatusTooManyRequests, login(e, form).Code)
		assert.Equal(t, http.StatusBadRequest, login(e, form, query("email=b")).Code)
	}
}

// Two limiters on one route read one body.
func TestTwoLimitersByForm(t *testing.T) {
	limit := func(name, field string) echo.MiddlewareFunc {
		limiter := newLimiter(t, newClock(), slidingwindow.Limit{Name: name, Max: 1, Window: 1e9})
		return echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Key: echomw.KeyByForm(field)})
	}
	e := echo.New()
	e.POST("/login", noContent, limit("a", "email"), limit("b", "device"))
	assert.Equal(t, http.StatusNoContent, login(e, multipartForm("email", "a", "device", "1")).Code)
	assert.Equal(t, http.StatusTooManyRequests, login(e, multipartForm("email", "b", "device", "1")).Code)
}
