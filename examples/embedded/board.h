/* What a measurement needs from a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Start to count instructions, and fill the free stack with a pattern. */
void board_start(void);

/* Stop, and return the number of instructions since the start. */
uint32_t board_stop(void);

/* Print the largest difference of the self-test, the instructions of one call, the stack that it
   and its callers have used, and the bytes that the caller keeps for the network. */
void board_report(float difference, uint32_t instructions, size_t kept);

#endif
