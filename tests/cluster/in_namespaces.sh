#!/bin/bash
# in_namespaces.sh REPOSITORY HOME OUT: cluster/local.yaml from up to down, on this machine, as its own user.
#
# To be called in PID, network and mount namespaces of its own: `ray down` ends every Ray process that it sees.
set -euo pipefail
repository=$1 home=$2 out=$3
user_home=$(getent passwd "$(id -un)" | cut -d: -f6)
python=$("$repository/.venv/bin/python" -c 'import sys; print(sys.base_prefix)')

# The network: loopback alone, with the address that this machine's name means.
ip link set lo up
address=$(getent hosts "$(hostname)" | cut -d' ' -f1)
case $address in 127.* | ::1) ;; *) ip address add "$address/32" dev lo ;; esac

# A home of its own, which ssh takes from the password file; an interpreter that lies in the real one stays.
if [[ $python == "$user_home"/* ]]; then
  mkdir -p "$home/${python#"$user_home"/}"
  mount --bind "$python" "$home/${python#"$user_home"/}"
fi
mkdir -p /tmp/ray /run/sshd "$home/.ssh"
mount -t tmpfs tmpfs /tmp/ray
mount --rbind "$home" "$user_home"
export HOME=$user_home
cd "$HOME"
ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519
ssh-keygen -q -t ed25519 -N '' -f .ssh/host
cp .ssh/id_ed25519.pub .ssh/authorized_keys
touch .bashrc
"$(command -v sshd || echo /usr/sbin/sshd)" -o HostKey="$HOME/.ssh/host" -o ListenAddress=127.0.0.1 -o StrictModes=no \
  -o PermitRootLogin=yes -o UsePAM=no -o PidFile=none -f /dev/null

export PATH=$repository/.venv/bin:$PATH
cd "$repository"
ray get-auth-token --generate >/dev/null
export RAY_AUTH_MODE=token
# What a user fills in; and there is no network to install from, so the environment that is here is taken.
sed -e "s/YOUR_USER/$(id -un)/" -e "s|&& uv sync .*|\&\& ln -sfn $repository/.venv .venv|" cluster/local.yaml >"$out/local.yaml"
ray up --yes --no-config-cache "$out/local.yaml"
ray submit "$out/local.yaml" run.py >"$out/submit.log" 2>&1 || { cat "$out/submit.log"; exit 1; }
ray rsync-down "$out/local.yaml" '~/runs/' "$out/runs/"
ray down --yes "$out/local.yaml"
! pgrep -x gcs_server
echo went from up to down
