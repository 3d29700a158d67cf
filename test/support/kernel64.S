/* A 64-bit kernel in miniature: entered by PVH, it turns long mode on, says what it was given, and powers off. */
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long start

    .text
    .code32
    .globl start
start:
    movl $pdpt + 3, pml4
    movl $pd + 3, pdpt
    movl $pd, %edi
    movl $0x83, %eax
    movl $512, %ecx
map:
    movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz map
    movl $pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    movl $stack_top, %esp
    /* A sum that 32 bits do not hold. */
    movabsq $0x0123456700000000, %r8
    movl $0x89abcdef, %eax
    addq %rax, %r8
    movl $16, %ecx
digit:
    rolq $4, %r8
    movl %r8d, %eax
    andl $15, %eax
    movb digits(%rax), %al
    call put
    decl %ecx
    jnz digit
    movb $'\n', %al
    call put
    /* struct hvm_start_info: the command line at 24, the list of modules at 16. */
    movl %ebx, %ebx
    movq 24(%rbx), %rsi
    movl $256, %ecx
    call say
    movq 16(%rbx), %rdi
    movq (%rdi), %rsi
    movq 8(%rdi), %rcx
    call say
    movw $0xb004, %dx
    movw $0x2000, %ax
    outw %ax, %dx
stay:
    jmp stay

/* Up to rcx bytes at rsi, to a zero, and a newline. */
say:
    movb (%rsi), %al
    testb %al, %al
    jz said
    call put
    incq %rsi
    decq %rcx
    jnz say
said:
    movb $'\n', %al
put:
    movw $0x3f8, %dx
    outb %al, %dx
    ret

digits:
    .ascii "0123456789abcdef"
    .balign 8
gdt:
    .quad 0, 0x00209a0000000000
gdt_pointer:
    .word 15
    .long gdt

    .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
pd:
    .skip 4096
    .skip 1024
stack_top:
