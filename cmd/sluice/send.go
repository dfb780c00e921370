package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func newSend(g *global) *cobra.Command {
	var base, typ, data, file, id, key, flagKey string
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Publish an event to a running sluice",
		Example: `  sluice send --type order.paid --data '{"amount": 12}'
  sluice send --type order.paid --file order.json --id order-4711 --key customer-7
  SLUICE_API_KEY=slk_… sluice send --type ping --url https://hooks.example.com`,
		GroupID: groupLook,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if typ == "" {
				return usage(cmd, errors.New("--type: say what happened, such as order.paid"))
			}
			if err := onlyOne(cmd, "data", "file"); err != nil {
				return err
			}
			body := []byte(data)
			if file != "" {
				var err error
				if body, err = readBody(cmd, file); err != nil {
					return err
				}
			}
			if !json.Valid(body) {
				return usage(cmd, errors.New("the data is not JSON; a text is written \"in quotes\""))
			}
			cfg, _, err := g.load(devDefaults(), false)
			if err != nil {
				return err
			}
			if base == "" {
				base = localURL(cfg.Ingress.Listen)
			}
			doc, err := json.Marshal(published{Type: typ, Data: body, ID: id, Key: key})
			if err != nil {
				return err
			}
			header := http.Header{"Content-Type": {"application/json"}}
			if key := apiKey(flagKey); key != "" {
				header.Set("Authorization", "Bearer "+string(key))
			}
			url := strings.TrimSuffix(base, "/") + "/v1/events"
			status, answer, err := post(cmd.Context(), url, header, doc)
			if err != nil {
				return err
			}
			if status == http.StatusUnauthorized {
				return advise(fmt.Errorf("%s wants an API key of scope publish, or does not take this one", shownURL(url)),
					"make one with 'sluice keys create --scope publish', and set %s", envKey)
			}
			if status != http.StatusAccepted {
				return fmt.Errorf("%s answered %d: %s", shownURL(url), status, strings.TrimSpace(printable(string(answer))))
			}
			var accepted struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(answer, &accepted); err != nil {
				return fmt.Errorf("%s: answer not understood: %w", shownURL(url), err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), accepted.ID)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&typ, "type", "", "`TYPE` of the event, such as order.paid")
	flags.StringVar(&data, "data", "{}", "its data, `JSON`")
	flags.StringVarP(&file, "file", "f", "", "`FILE` with its data instead; - is standard input")
	flags.StringVar(&id, "id", "", "your `ID` of it: the same id and data again within 72 hours is dropped")
	flags.StringVar(&key, "key", "", "ordering `KEY`")
	flags.StringVar(&base, "url", "", "`URL` of the ingress (default from ingress.listen)")
	bindKey(cmd, &flagKey)
	return cmd
}

// published is an event as POST /v1/events takes it.
type published struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
	ID   string          `json:"id,omitempty"`
	Key  string          `json:"key,omitempty"`
}
