# Environment of every shell on a cluster node; cluster.local.yaml makes ~/.bashrc source it. It makes `ray status` work
# after login, and gives the processes that Ray starts the code, the token and the API keys.
export PATH="$HOME/tweetelm/.venv/bin:$PATH"
export PYTHONPATH="$HOME/tweetelm:$HOME/tweetelm/src"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/tweetelm/auth_token"
export TWEETELM_API_KEYS_FILE="$HOME/tweetelm/api_keys"
export RAY_SERVE_HAPROXY_BINARY_PATH="$HOME/tweetelm/serve/deploy/haproxy"
set -a
. "$HOME/tweetelm/serve/deploy/production.env"
set +a
