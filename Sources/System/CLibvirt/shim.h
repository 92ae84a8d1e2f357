#include <stddef.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

// libvirt takes every event's callback as one generic function type and casts it back by the
// event's id. Swift cannot write that cast; here the compiler still checks each callback's type.
// `release` is called with `opaque` once libvirt will call back no more; not if it returns -1.

static inline int karri_on_lifecycle(virConnectPtr connection, virConnectDomainEventCallback callback, void *opaque, virFreeCallback release) {
    return virConnectDomainEventRegisterAny(
        connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}

static inline int karri_on_reboot(
    virConnectPtr connection, virConnectDomainEventGenericCallback callback, void *opaque, virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_REBOOT, callback, opaque, release);
}

static inline int karri_on_disk_error(
    virConnectPtr connection, virConnectDomainEventIOErrorReasonCallback callback, void *opaque, virFreeCallback release) {
    return virConnectDomainEventRegisterAny(
        connection, NULL, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}
