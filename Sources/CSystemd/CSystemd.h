// The part of libsystemd that tells a service what systemd hands it and how often it wants to hear of it:
// sd_listen_fds(3), sd_watchdog_enabled(3). Harmless where this process was not started by
// systemd: each call then says so.

#include <systemd/sd-daemon.h>
