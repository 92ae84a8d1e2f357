#!/bin/sh
# udhcpc's hook: the address, MTU, routes and name servers of a lease.
case $1 in
deconfig)
    ip addr flush dev "$interface"
    ip link set "$interface" up
    ;;
bound | renew)
    [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
    ip addr show dev "$interface" | grep -q "inet $ip/" || {
        ip addr flush dev "$interface"
        ip addr add "$ip/${mask:-24}" dev "$interface"
    }
    if [ -n "$staticroutes" ]; then
        # Option 121 (RFC 3442) replaces option 3: pairs of destination and gateway.
        set -- $staticroutes
        while [ $# -ge 2 ]; do
            case $2 in
            0.0.0.0) ip route replace "$1" dev "$interface" ;;
            *) ip route replace "$1" via "$2" dev "$interface" onlink ;;
            esac
            shift 2
        done
    else
        for gateway in $router; do
            ip route replace default via "$gateway" dev "$interface"
            break
        done
    fi
    # The metadata service is on the link, whatever the routes say.
    ip route get 169.254.169.254 >/dev/null 2>&1 || ip route replace 169.254.169.254 dev "$interface"
    {
        [ -z "$domain" ] || echo "search $domain"
        for server in $dns; do echo "nameserver $server"; done
    } >/etc/resolv.conf
    ;;
esac
