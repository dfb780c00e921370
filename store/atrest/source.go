package atrest

import (
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/store"
)

// EncodeSource returns columns params (JSON, nil for none) and sealed of a source's row. The ID must be set, as what is
// sealed is bound to its row.
func EncodeSource(sealer *store.Sealer, src *store.Source) (params, sealed []byte, err error) {
	if len(src.Params) > 0 {
		if params, err = json.Marshal(src.Params); err != nil {
			return nil, nil, err
		}
	}
	secrets := make([][]byte, len(src.Secrets)) // not strings: JSON would have them be UTF-8
	for i, secret := range src.Secrets {
		secrets[i] = []byte(secret.Reveal())
	}
	sealed, err = seal(sealer, secrets, sourcesTable, int64(src.ID))
	return params, sealed, err
}

// DecodeSource reads what EncodeSource wrote into src, whose ID must be set. ErrSealed when the key is not there.
func DecodeSource(sealer *store.Sealer, params, sealed []byte, src *store.Source) error {
	if params != nil {
		if err := json.Unmarshal(params, &src.Params); err != nil {
			return fmt.Errorf("params of source %s: %w", src.ID, err)
		}
	}
	var secrets [][]byte
	if err := unseal(sealer, sealed, sourcesTable, int64(src.ID), &secrets); err != nil {
		return err
	}
	for _, text := range secrets {
		src.Secrets = append(src.Secrets, store.Secret(text))
	}
	return nil
}
