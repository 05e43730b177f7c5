# What every shell on a machine of the cluster knows; cluster.local.yaml has ~/.bashrc read it, so that whoever logs
# in can type `ray status`, and whatever Ray starts finds the code, the token and the keys.
export PATH="$HOME/tweetelm/.venv/bin:$PATH"
export PYTHONPATH="$HOME/tweetelm:$HOME/tweetelm/src"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/tweetelm/auth_token"
export TWEETELM_API_KEYS_FILE="$HOME/tweetelm/api_keys"
export RAY_SERVE_HAPROXY_BINARY_PATH="$HOME/tweetelm/serve/deploy/haproxy"
set -a
. "$HOME/tweetelm/serve/deploy/production.env"
set +a
