/* Where a guest begins. The header makes it a Multiboot image (Multiboot Specification 0.6.96, section 3.1); the
   machine monitor enters here in 32-bit protected mode with flat segments, EAX and EBX as section 3.2 says. */
        .set    MAGIC, 0x1badb002
        .set    FLAGS, 3                        /* page-aligned modules, memory map */

        .section .multiboot, "a"
        .align  4
        .long   MAGIC, FLAGS, -(MAGIC + FLAGS)

        .section .text.start, "ax"
        .globl  _start
_start: movl    $stack_top, %esp
        cld
        pushl   %ebx
        pushl   %eax
        call    guest_start
        /* Halting with interrupts off ends the partition. */
        .globl  guest_halt
guest_halt:
        cli
1:      hlt
        jmp     1b

        .section .bss.stack, "aw", @nobits
        .align  16
        .skip   65536
stack_top:

        .section .note.GNU-stack, "", @progbits
