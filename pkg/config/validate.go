package config

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/store"
)

// validate notes everything that is wrong with the settings.
func (c *Config) validate(p *problems) {
	if strings.TrimSpace(c.DataDir) == "" {
		p.add("data_dir", "missing, name a directory")
	}
	p.checkURL("broker.url", c.Broker.URL, nil, []string{"kafka", "sqs", "pubsub"})
	p.checkURL("store.url", c.Store.URL, []string{"postgres", "postgresql"}, nil)
	p.checkTopic("broker.topic", c.Broker.Topic)
	p.checkTopic("broker.group", c.Broker.Group)
	if c.Egress.Commit == "delivered" {
		p.add("egress.commit", "delivered: not supported by this version, write %s", CommitSettled)
	} else if c.Egress.Commit != CommitSettled {
		p.add("egress.commit", "%s: want %s", printable(c.Egress.Commit), CommitSettled)
	}
	if err := listener.CheckAddress(c.Ops.Listen); err != nil {
		p.add("ops.listen", "%s: %s", printable(c.Ops.Listen), err)
	}
	p.checkKeys(c)
	p.checkListeners(c)
	for _, errs := range [][]error{
		c.ForIngress().Validate(), c.ForDispatcher().Validate(), c.ForEgress().Validate(), c.ForDialGuard().Validate(), c.Telemetry.Validate(),
	} {
		for _, err := range errs {
			p.addError(err)
		}
	}
	p.addAll(c.ForControl().Validate())
}

func (p *problems) addAll(list []control.Problem) {
	for _, q := range list {
		p.addError(q)
	}
}

// checkURL takes sqlite: and URLs of the schemes there are now; those of later versions it knows by name. What else a URL
// says its adapter reads. Of a refused one nothing but a known scheme is quoted: it may hold a password.
func (p *problems) checkURL(path, url string, now, later []string) {
	if url == SQLite {
		return
	}
	want := SQLite
	for _, scheme := range now {
		if strings.HasPrefix(url, scheme+"://") {
			return
		}
		want = fmt.Sprintf("%s or %s://…", SQLite, now[0])
	}
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		p.add(path, "want %s alone: the file is in data_dir", SQLite)
	case slices.Contains(later, scheme):
		p.add(path, "%s: is not supported by this version, want %s", scheme, want)
	default:
		p.add(path, "not a known scheme, want %s", want)
	}
}

// checkTopic takes what every broker takes as the name of a topic or group.
func (p *problems) checkTopic(path, name string) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || len(name) > 200 || strings.Trim(name, letters) != "" || strings.Trim(name, ".") == "" {
		p.add(path, "%s: want 1 to 200 letters, digits, dots, dashes and underscores", printable(name))
	}
}

func (p *problems) checkKeys(c *Config) {
	for i, key := range c.EncryptionKey {
		path := fmt.Sprintf("encryption_key[%d]", i)
		if strings.Contains(string(key), ",") {
			p.add(path, "has a comma, write a list")
		} else if _, err := store.ParseKeys(store.Secret(key)); err != nil {
			p.add(path, "%s", err)
		}
	}
}

// checkListeners refuses two listeners on one address, which would fail only when the second one starts.
func (p *problems) checkListeners(c *Config) {
	used := map[string]string{}
	for _, l := range []struct{ path, addr string }{
		{"ingress.listen", c.Ingress.Listen}, {"control.listen", c.Control.Listen}, {"ops.listen", c.Ops.Listen},
	} {
		if _, port, err := net.SplitHostPort(l.addr); err != nil || port == "0" {
			continue
		}
		if other := used[l.addr]; other != "" {
			p.add(l.path, "%s: %s listens there already, choose another port", printable(l.addr), other)
		}
		used[l.addr] = l.path
	}
}

// validateResources notes everything that is wrong with sources and endpoints, and makes Resources of them.
func (c *Config) validateResources(p *problems) {
	rules := control.Rules{AllowHTTP: c.Network.AllowHTTP, FromFile: true}
	if guard, err := dialguard.New(c.ForDialGuard()); err == nil { // else network is wrong, and noted: URLs are looked at without it
		rules.CheckURL = guard.CheckURL
	}
	names := map[string]string{}
	for i, spec := range c.Sources {
		path := fmt.Sprintf("sources[%d]", i)
		source, list := control.ValidateSource(path, spec, rules)
		p.addAll(list)
		p.checkUnique(names, path, "source", source.Tenant, source.Name)
		source.ManagedBy = store.ManagedByFile
		c.Resources.Sources = append(c.Resources.Sources, source)
	}
	for i, spec := range c.Endpoints {
		path := fmt.Sprintf("endpoints[%d]", i)
		endpoint, list := control.ValidateEndpoint(path, spec, rules)
		p.addAll(list)
		p.checkUnique(names, path, "endpoint", endpoint.Tenant, endpoint.Name)
		endpoint.ManagedBy = store.ManagedByFile
		c.Resources.Endpoints = append(c.Resources.Endpoints, endpoint)
	}
}

func (p *problems) checkUnique(names map[string]string, path, kind, tenant, name string) {
	key := kind + "\x00" + tenant + "\x00" + name
	if other := names[key]; other != "" && name != "" {
		p.add(path+".name", "%s: %s has that name already", printable(name), other)
		return
	}
	names[key] = path
}
