/* A Cortex-M with an FPU, from reset to main, and what board.h promises. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CPACR REGISTER(0xE000ED88u)
#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)

/* QEMU with -icount shift=0 takes 1 ns for an instruction, and its boards have a clock of 25 MHz.
   On a real chip, SysTick counts cycles: write 1. */
#define INSTRUCTIONS_PER_TICK 40u
#define PATTERN 0xA5A5A5A5u

extern uint32_t stack_limit[], stack_top[], data_start[], data_end[], data_load[];
extern uint32_t bss_start[], bss_end[];
int main(void);

/* Ask the debugger, or QEMU with -semihosting, for an operation. */
static int semihosting(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(int status) {
    semihosting(0x18, (const void *)(uintptr_t)(status == 0 ? 0x20026u : 0x20023u));
    for (;;) {
    }
}

static void on_reset(void) {
    CPACR |= 0xFu << 20; /* Floating point is off until then. */
    __asm__ volatile("dsb\n\tisb");
    for (size_t i = 0; data_start + i < data_end; ++i) {
        data_start[i] = data_load[i];
    }
    for (uint32_t *word = bss_start; word < bss_end; ++word) {
        *word = 0;
    }
    leave(main());
}

static void on_fault(void) {
    semihosting(0x04, "a fault of the processor\n");
    leave(1);
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const handler vectors[] = {
    (handler)(uintptr_t)stack_top, on_reset, on_fault, on_fault, on_fault, on_fault, on_fault,
};

void board_start(void) {
    uint32_t here;
    for (volatile uint32_t *word = stack_limit; word < &here; ++word) {
        *word = PATTERN;
    }
    SYSTICK_RELOAD = 0x00FFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5; /* on, with the clock of the processor, without interrupts */
}

uint32_t board_stop(void) { return (0x00FFFFFFu - SYSTICK_VALUE) * INSTRUCTIONS_PER_TICK; }

/* Print a number, without the 20 kB of printf. */
static void print(const char *before, uint32_t number, const char *after) {
    char digits[11];
    char *first = digits + 10;
    *first = '\0';
    do {
        *--first = (char)('0' + number % 10u);
        number /= 10u;
    } while (number > 0);
    semihosting(0x04, before);
    semihosting(0x04, first);
    semihosting(0x04, after);
}

void board_report(float difference, uint32_t instructions, size_t kept) {
    const uint32_t *deepest = stack_limit;
    while (*deepest == PATTERN) {
        ++deepest;
    }
    print("  self-test: off by ", (uint32_t)(difference * 1e9f), "e-9 at most\n");
    print("  one call: ", instructions, " instructions\n");
    print("  RAM: ", (uint32_t)((const char *)stack_top - (const char *)deepest),
          " bytes of stack, ");
    print("", (uint32_t)kept, " kept by the caller\n");
}
