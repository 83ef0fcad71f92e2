/* NVIDIA's library NVML as far as gen5 calls it, with two cards. The call that FAKE_NVML_FAIL names fails; "NAME:1" makes it
 * fail for the second card alone. The call that FAKE_NVML_HANG names never returns; dlopen and dlclose are such calls, too. One
 * that FAKE_NVML_CRASH names ends the process. When the library is loaded, the number of the process is added to the file that
 * FAKE_NVML_LOADED names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNKNOWN = 999 };

struct card {
    const char *name;
    unsigned long long memory;
};

static struct card cards[] = {{"NVIDIA A100-SXM4-80GB", 80ULL << 30}, {"NVIDIA T4", 15ULL << 30}};

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

static int is_named(const char *variable, const char *call) {
    const char *wanted = getenv(variable);
    return wanted && strcmp(wanted, call) == 0;
}

static void misbehave(const char *call) {
    if (is_named("FAKE_NVML_CRASH", call)) abort();
    while (is_named("FAKE_NVML_HANG", call)) sleep(1000);
}

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("FAKE_NVML_LOADED");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%d\n", (int)getpid());
        fclose(file);
    }
    misbehave("dlopen");
}

__attribute__((destructor)) static void unload(void) { misbehave("dlclose"); }

static int fails(const char *call, const struct card *card) {
    misbehave(call);
    const char *wanted = getenv("FAKE_NVML_FAIL");
    size_t length = strlen(call);
    if (!wanted || strncmp(wanted, call, length) != 0) return 0;
    return wanted[length] == 0 || (card == &cards[1] && strcmp(wanted + length, ":1") == 0);
}

static int text(char *to, unsigned int size, const char *from) {
    return (unsigned int)snprintf(to, size, "%s", from) < size ? SUCCESS : UNKNOWN;
}

int nvmlInit_v2(void) { return fails("nvmlInit_v2", 0) ? UNKNOWN : SUCCESS; }

int nvmlShutdown(void) { return fails("nvmlShutdown", 0) ? UNKNOWN : SUCCESS; }

int nvmlSystemGetDriverVersion(char *version, unsigned int size) {
    return fails("nvmlSystemGetDriverVersion", 0) ? UNKNOWN : text(version, size, "535.129.01");
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 12020;
    return fails("nvmlSystemGetCudaDriverVersion_v2", 0) ? UNKNOWN : SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    *count = 2;
    return fails("nvmlDeviceGetCount_v2", 0) ? UNKNOWN : SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct card **card) {
    if (index > 1) return UNKNOWN;
    *card = &cards[index];
    return fails("nvmlDeviceGetHandleByIndex_v2", *card) ? UNKNOWN : SUCCESS;
}

int nvmlDeviceGetName(struct card *card, char *name, unsigned int size) {
    return fails("nvmlDeviceGetName", card) ? UNKNOWN : text(name, size, card->name);
}

#ifndef OLD
int nvmlDeviceGetMemoryInfo_v2(struct card *card, struct memory_v2 *memory) {
    if (memory->version != (sizeof *memory | 2 << 24)) return UNKNOWN;
    memory->total = card->memory;
    return fails("nvmlDeviceGetMemoryInfo_v2", card) ? UNKNOWN : SUCCESS;
}
#endif
