package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"time"
)

// A Client sends requests to the peer with a data directory. Its methods may be called concurrently.
type Client struct {
	http    http.Client
	dir     string
	timeout time.Duration
}

// NewClient returns a client for the peer with the given data directory, which need not run. Calls end after the timeout.
func NewClient(dir string, timeout time.Duration) *Client {
	c := &Client{dir: dir, timeout: timeout}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			name, err := socketPath(dir)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, "unix", name)
		},
	}
	return c
}

// Call sends a request and decodes the answer into a. The request is a GET if q is nil, and else a POST with q as its
// body. The error is an *Error.
func (c *Client) Call(ctx context.Context, path string, q, a any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := c.do(ctx, path, q)
	if err != nil {
		return err
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	dec.UseNumber()
	if err := dec.Decode(a); err != nil {
		return c.failed(ctx, err)
	}
	return nil
}

// Lines sends a request as Call does, and yields the JSON Lines of the answer until the answer or the context ends. The
// error is an *Error, and comes last.
func Lines[T any](ctx context.Context, c *Client, path string, q any) iter.Seq2[T, error] {
	body, err := c.do(ctx, path, q)
	return func(yield func(T, error) bool) {
		if err != nil {
			yield(*new(T), err)
			return
		}
		defer body.Close()
		dec := json.NewDecoder(body)
		dec.UseNumber()
		for {
			var line T
			err := dec.Decode(&line)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = c.failed(ctx, err)
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

func (c *Client) do(ctx context.Context, path string, q any) (io.ReadCloser, error) {
	method := http.MethodGet
	var body io.Reader
	if q != nil {
		method = http.MethodPost
		data, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://peer"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(TimeoutHeader, c.timeout.String())
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	e := &Error{Code: CodeFailed}
	if err := json.NewDecoder(resp.Body).Decode(e); err != nil {
		e.Text = fmt.Sprintf("the peer answered %s", resp.Status)
	}
	return nil, e
}

// failed returns the error for an answer that did not come, or ended early.
func (c *Client) failed(ctx context.Context, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && ctx.Err() == nil {
		return &Error{Text: fmt.Sprintf("no peer is running with the data in %s", c.dir), Code: CodeNotRunning}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Text: fmt.Sprintf("no answer within %v", c.timeout), Code: CodeTimeout}
	}
	if ctx.Err() != nil {
		return &Error{Text: "interrupted", Code: CodeInterrupted}
	}
	return &Error{Text: err.Error(), Code: CodeFailed}
}
