//  Ceph's radosgw as a peer: a cluster of one monitor, one manager and one disk on plain files, in a scratch
//  folder and on loopback, as its own tools make it without a service manager.

import Model
import Platform

enum RadosGateway {
    static let program = "radosgw"
    private static let diskGiB = 24

    /// - Parameters:
    ///   - port: The gateway's; the two after it are the monitor's, a hundred from 100 on are the disk's.
    static func start(in folder: String, port: Int, _ who: BenchCredentials) throws(Fault) -> PeerProcess {
        for name in ["mon.a", "mgr.x", "osd.0", "run", "rgw"] { try Folder.make("\(folder)/\(name)") }
        try AtomicFile.write(Array(settings(folder, port).utf8), to: folder + "/ceph.conf", mode: 0o600)
        try AtomicFile.write(Array(script(folder, port, who).utf8), to: folder + "/start", mode: 0o700)
        return try PeerProcess(["bash", folder + "/start"], log: folder + "/log")
    }

    private static func settings(_ folder: String, _ port: Int) -> String {
        """
        [global]
        mon host = [v2:127.0.0.1:\(port + 1),v1:127.0.0.1:\(port + 2)]
        public addr = 127.0.0.1
        cluster addr = 127.0.0.1
        ms bind port min = \(port + 100)
        ms bind port max = \(port + 199)
        keyring = \(folder)/keyring
        run dir = \(folder)/run
        admin socket = \(folder)/run/$name.$pid.asok
        log to file = false
        auth allow insecure global id reclaim = false
        osd pool default size = 1
        osd pool default min size = 1
        osd pool default pg num = 8
        mon allow pool size one = true
        mon warn on pool no redundancy = false
        mon data avail warn = 2
        mon data avail crit = 1
        osd crush chooseleaf type = 0
        mon data = \(folder)/mon.a
        mgr data = \(folder)/mgr.x
        osd data = \(folder)/osd.0
        osd objectstore = bluestore
        bluestore block create = true
        bluestore block size = \(diskGiB << 30)
        [mgr]
        keyring = \(folder)/mgr.x/keyring
        [osd]
        keyring = \(folder)/osd.0/keyring
        [client.rgw.a]
        keyring = \(folder)/rgw/keyring
        rgw data = \(folder)/rgw
        rgw frontends = beast endpoint=127.0.0.1:\(port) tcp_nodelay=1
        rgw enable ops log = false

        """
    }

    /// Makes the cluster and its daemons, whose parent it stays.
    private static func script(_ folder: String, _ port: Int, _ who: BenchCredentials) -> String {
        """
        set -eu
        cd \(folder)
        conf="-c \(folder)/ceph.conf"
        fsid=$(cat /proc/sys/kernel/random/uuid) disk=$(cat /proc/sys/kernel/random/uuid)
        sed -i "s/^\\[global\\]/[global]\\nfsid = $fsid/" ceph.conf
        ceph-authtool --create-keyring keyring --gen-key -n client.admin --cap mon "allow *" --cap osd "allow *" --cap mgr "allow *"
        ceph-authtool --create-keyring mon.keyring --gen-key -n mon. --cap mon "allow *"
        ceph-authtool mon.keyring --import-keyring keyring
        monmaptool --create --fsid $fsid --addv a "[v2:127.0.0.1:\(port + 1),v1:127.0.0.1:\(port + 2)]" monmap
        ceph-mon $conf -i a --mkfs --monmap monmap --keyring mon.keyring
        ceph-mon $conf -i a -f &
        ceph $conf auth get-or-create mgr.x mon "allow profile mgr" osd "allow *" > mgr.x/keyring
        ceph-mgr $conf -i x -f &
        key=$(ceph-authtool --gen-print-key)
        echo "{\\"cephx_secret\\":\\"$key\\"}" | ceph $conf osd new $disk 0 -i -
        printf "[osd.0]\\n\\tkey = %s\\n" "$key" > osd.0/keyring
        ceph-osd $conf -i 0 --mkfs --osd-uuid $disk
        ceph-osd $conf -i 0 --osd-uuid $disk -f &
        ceph $conf auth get-or-create client.rgw.a mon "allow rw" osd "allow rwx" mgr "allow rw" > rgw/keyring
        radosgw-admin $conf user create --uid bench --access-key \(who.accessKey) --secret \(who.secretKey) --display-name bench
        radosgw $conf -n client.rgw.a -f &
        wait
        """
    }
}
