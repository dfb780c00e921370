package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// envKey names the variable with the API key of the command line.
const envKey = "SLUICE_API_KEY"

func newSend(g *global) *cobra.Command {
	var base, typ, data, file, id, key, apiKey string
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Publish an event to a running sluice",
		Example: `  sluice send --type order.paid --data '{"amount": 12}'
  sluice send --type order.paid --file order.json --id order-4711 --key customer-7
  SLUICE_API_KEY=slk_… sluice send --type ping --url https://hooks.example.com`,
		GroupID: groupLook,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if typ == "" {
				return usage(cmd, errors.New("--type: say what happened, such as order.paid"))
			}
			body := []byte(data)
			if file != "" {
				var err error
				if body, err = readBody(cmd, file); err != nil {
					return err
				}
			}
			if !json.Valid(body) {
				return usage(cmd, errors.New("--data: not JSON"))
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
			if apiKey != "" {
				header.Set("Authorization", "Bearer "+apiKey)
			}
			url := strings.TrimSuffix(base, "/") + "/v1/events"
			status, answer, err := post(cmd.Context(), url, header, doc)
			if err != nil {
				return err
			}
			if status != http.StatusAccepted {
				return fmt.Errorf("%s answered %d: %s", url, status, strings.TrimSpace(printable(string(answer))))
			}
			var accepted struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(answer, &accepted); err != nil {
				return fmt.Errorf("%s: answer not understood: %w", url, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), accepted.ID)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&typ, "type", "", "type of the event, such as order.paid")
	flags.StringVar(&data, "data", "{}", "its data, JSON")
	flags.StringVar(&file, "file", "", "file with its data instead; - is standard input")
	flags.StringVar(&id, "id", "", "your id of it: the same id and data again within 72 hours is dropped")
	flags.StringVar(&key, "key", "", "ordering key")
	flags.StringVar(&base, "url", "", "URL of the ingress (default from ingress.listen)")
	flags.StringVar(&apiKey, "api-key", os.Getenv(envKey), "API key (default $"+envKey+")")
	flags.Lookup("api-key").DefValue = ""
	cmd.MarkFlagsMutuallyExclusive("data", "file")
	return cmd
}

// published is an event as POST /v1/events takes it.
type published struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
	ID   string          `json:"id,omitempty"`
	Key  string          `json:"key,omitempty"`
}
