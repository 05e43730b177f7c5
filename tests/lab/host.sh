# Pid 1 of a host: mounts an overlay over the files of this machine, sets the host name and runs sshd.
#   sh host.sh NAME ADDRESS FOLDER [VISIBLE...]     run in new mount, PID, UTS and network namespaces
# FOLDER has disk/NAME, shared (the shared storage) and ssh (keys); VISIBLE are folders of this machine to mount.
set -eu
name=$1 address=$2 folder=$3
shift 3
disk=$folder/disk/$name root=$folder/root/$name
mkdir -p "$disk/files" "$disk/work" "$root"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/files,workdir=$disk/work" "$root"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
for private in tmp run home; do mount -t tmpfs -o mode=1777 tmpfs "$root/$private"; done
mkdir -p "$root/run/sshd" "$root/srv/shared" "$disk/home" "$root/home/lab"
mount --bind "$disk/home" "$root/home/lab"
mount --bind "$folder/shared" "$root/srv/shared"
for visible; do
    mkdir -p "$root$visible"
    mount --bind "$visible" "$root$visible"
done
mkdir -p "$root/home/lab/.ssh" "$root/home/lab/tweetelm"
cp -rn /etc/skel/. "$root/home/lab"
cp "$folder/ssh/key.pub" "$root/home/lab/.ssh/authorized_keys"
cp "$folder/ssh/key" "$root/etc/ssh/lab_key"
[ -e "$root/home/lab/tweetelm/.venv" ] || ln -s "$TWEETELM_VENV" "$root/home/lab/tweetelm/.venv"
sed -i 's|^root:.*|root:x:0:0:root:/home/lab:/bin/bash|' "$root/etc/passwd"
hostname "$name"
ip link set lo up
exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/lab chroot "$root" /usr/sbin/sshd -D -e \
    -h /etc/ssh/lab_key -f /dev/null -o "ListenAddress=$address" -o StrictModes=no -o UsePAM=no -o PidFile=none \
    -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password
