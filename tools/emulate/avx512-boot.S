/* The ROM of the emulated machine: from the reset vector to Linux in one step.
 *
 * A PC's BIOS and boot loader would spend a minute of emulated time on devices that this
 * machine does not have. This ROM enters long mode at once, reads the parts of the disk that
 * `avx512` lists in parts.inc (kernel, initramfs, boot parameters) by programmed I/O, and
 * jumps to the entry of the uncompressed kernel under the 64-bit Linux boot protocol:
 * paging on with memory mapped one to one, flat segments, %rsi = boot parameters.
 *
 * Symbols given on the command line: BOOT_PARAMS, ENTRY.
 */
	.set HIGH, 0xffff0000		/* where the CPU sees this ROM at reset */
	.set SECTOR_DWORDS, 128

	.code16
	.text
	.globl _start
_start:
	cli
	cld
	inb $0x92, %al			/* address line 20 on */
	orb $2, %al
	outb %al, $0x92
	lgdtl %cs:(gdtr - _start)
	movl $0x20, %eax		/* CR4.PAE */
	movl %eax, %cr4
	movl $(HIGH + pml4 - _start), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER.LME */
	xorl %edx, %edx
	movl $0x100, %eax
	wrmsr
	movl $0x80000011, %eax		/* CR0.PG, ET, PE: real mode to long mode directly */
	movl %eax, %cr0
	ljmpl $0x10, $(HIGH + long_mode - _start)

	.code64
long_mode:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs

	/* Every part is (address, first sector, sectors), ended by zero sectors. */
	leaq parts(%rip), %rbx
part:	movl (%rbx), %edi
	movl 4(%rbx), %r8d
	movl 8(%rbx), %r9d
	addq $12, %rbx
	testl %r9d, %r9d
	jz done
command:
	movl $256, %r10d		/* READ SECTORS moves 256 at most */
	cmpl %r10d, %r9d
	cmovbl %r9d, %r10d
	movl $0x1f2, %edx
	movl %r10d, %eax		/* 256 is written as 0 */
	outb %al, %dx
	movl %r8d, %eax
	incl %edx
	outb %al, %dx
	shrl $8, %eax
	incl %edx
	outb %al, %dx
	shrl $8, %eax
	incl %edx
	outb %al, %dx
	shrl $8, %eax
	orl $0xe0, %eax			/* LBA, master */
	incl %edx
	outb %al, %dx
	movl $0x20, %eax
	incl %edx
	outb %al, %dx
	addl %r10d, %r8d
	subl %r10d, %r9d
sector:	movl $0x1f7, %edx
wait:	inb %dx, %al
	testb $0x80, %al		/* busy */
	jnz wait
	testb $8, %al			/* data */
	jz wait
	movl $0x1f0, %edx
	movl $SECTOR_DWORDS, %ecx
	rep insl
	decl %r10d
	jnz sector
	testl %r9d, %r9d
	jnz command
	jmp part

done:	movl $BOOT_PARAMS, %esi
	movl $ENTRY, %eax
	jmp *%rax

	/* Accessed and dirty bits are set beforehand: the CPU cannot write them into a ROM. */
	.balign 8
gdt:	.quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	.word 31
	.long HIGH + gdt - _start
	.balign 4
parts:	.include "parts.inc"
	.long 0, 0, 0
	.balign 4096
pml4:	.quad HIGH + pdpt - _start + 0x23
	.fill 511, 8, 0
pdpt:	.quad 0xe3, 0x400000e3, 0x800000e3, 0xc00000e3	/* four pages of 1 GB */
	.fill 508, 8, 0

	.org 0xfff0
	.code16
	.byte 0xe9			/* jmp _start */
	.word (_start - . - 2) & 0xffff
	.org 0x10000
