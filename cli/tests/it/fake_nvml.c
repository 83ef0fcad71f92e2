/* NVIDIA's library NVML as far as gen5 calls it, with two cards. The call that FAKE_NVML_FAIL names fails; "NAME:1" makes it
 * fail for the second card alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int fails(const char *call, const struct card *card) {
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
