/*
 * x86 CPUs, disturbed on purpose: a test option
 *
 * What one CPU does to another comes at moments that an ordinary run hits once in
 * a thousand boots: between VMRUN's steps, in an interrupt shadow, while an event
 * is being delivered.  This device does it all the time.
 *
 *   -device x-cpu-storm,kind=kick     asks every CPU to leave its loop
 *   -device x-cpu-storm,kind=ignne    sets and clears IGNNE, as FPU code does for
 *                                     the first CPU from all the others
 *   -device x-cpu-storm,kind=safe     work that needs all CPUs to stop
 *
 * each "period" microseconds (2000; 0: without a pause).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "hw/qdev-properties.h"

#define TYPE_CPU_STORM "x-cpu-storm"
OBJECT_DECLARE_SIMPLE_TYPE(CpuStorm, CPU_STORM)

struct CpuStorm {
    DeviceState parent_obj;

    QemuThread thread;
    void (*blow)(void);
    bool stop;
    char *kind;
    uint32_t period;
};

static void storm_kick(void)
{
    CPUState *cpu;

    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        cpu_exit(cpu);
    }
}

static void storm_ignne(void)
{
    if (first_cpu) {
        bql_lock();
        cpu_set_ignne();
        bql_unlock();
        cpu_clear_ignne();
    }
}

static void safe_nothing(CPUState *cpu, run_on_cpu_data data)
{
}

static void storm_safe(void)
{
    if (first_cpu) {
        async_safe_run_on_cpu(first_cpu, safe_nothing, RUN_ON_CPU_NULL);
    }
}

static const struct {
    const char *kind;
    void (*blow)(void);
} storms[] = {
    { "kick", storm_kick },
    { "ignne", storm_ignne },
    { "safe", storm_safe },
};

static void *storm_thread(void *opaque)
{
    CpuStorm *s = opaque;

    rcu_register_thread();
    while (!qatomic_read(&s->stop)) {
        s->blow();
        if (s->period) {
            g_usleep(s->period);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void storm_realize(DeviceState *dev, Error **errp)
{
    CpuStorm *s = CPU_STORM(dev);

    for (unsigned i = 0; i < ARRAY_SIZE(storms); i++) {
        if (!g_strcmp0(s->kind, storms[i].kind)) {
            s->blow = storms[i].blow;
        }
    }
    if (!s->blow) {
        error_setg(errp, "x-cpu-storm: kind must be kick, ignne or safe");
        return;
    }
    if (s->blow == storm_safe && !s->period) {
        error_setg(errp, "x-cpu-storm: kind=safe needs a period, or its work "
                   "would pile up");
        return;
    }
    qemu_thread_create(&s->thread, "cpu-storm", storm_thread, s,
                       QEMU_THREAD_JOINABLE);
}

static void storm_unrealize(DeviceState *dev)
{
    CpuStorm *s = CPU_STORM(dev);

    qatomic_set(&s->stop, true);
    qemu_thread_join(&s->thread);
}

static const Property storm_properties[] = {
    DEFINE_PROP_STRING("kind", CpuStorm, kind),
    DEFINE_PROP_UINT32("period", CpuStorm, period, 2000),
};

static void storm_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "disturbs the CPUs, for tests of the emulator";
    dc->realize = storm_realize;
    dc->unrealize = storm_unrealize;
    dc->user_creatable = true;
    dc->hotpluggable = false;
    device_class_set_props(dc, storm_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo storm_type = {
    .name = TYPE_CPU_STORM,
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(CpuStorm),
    .class_init = storm_class_init,
};

static void storm_register(void)
{
    type_register_static(&storm_type);
}

type_init(storm_register)
